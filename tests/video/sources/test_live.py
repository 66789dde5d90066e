"""Live sources never hang, never grow without bound, and reconnect."""

from __future__ import annotations

import signal
import socket
import subprocess
import sys
import threading
import time
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import cv2
import numpy as np
import pytest
from toy_models import toy_manifest, toy_model
from toy_videos import write_video

from lc_trt.backends.load import open_onnx
from lc_trt.errors import LcTrtError
from lc_trt.runtime.segmenter import Segmenter
from lc_trt.video import pipeline
from lc_trt.video.base import Image
from lc_trt.video.sources.live import Connection, Drop, Live, LiveOptions
from lc_trt.video.sources.open import open_source


def picture(level: int) -> Image:
    return np.full((8, 8, 3), level % 256, np.uint8)


def connection(count: int, pause: float = 0.0, then: str = "gone") -> Connection:
    for i in range(count):
        time.sleep(pause)
        yield picture(i)
    raise LcTrtError(f"camera: {then}")


def impatient(**options: Any) -> LiveOptions:
    """Options with short pauses."""
    return LiveOptions(**{"first_pause": 0.01, "grace": 0.2, **options})


def wait_until(condition: Callable[[], bool], seconds: float = 2) -> None:
    deadline = time.monotonic() + seconds
    while not condition():
        assert time.monotonic() < deadline, threading.enumerate()
        time.sleep(0.01)


def no_reader_runs() -> bool:
    return not any(thread.name.startswith("lc-trt-") for thread in threading.enumerate())


@pytest.fixture(autouse=True)
def reader_threads_end() -> Iterator[None]:
    yield
    wait_until(no_reader_runs)


def test_the_oldest_frames_are_dropped_on_overflow() -> None:
    with Live("camera", lambda: connection(100), impatient(retries=0)) as source:
        wait_until(lambda: "ended: gone" in source.problems())
        assert [frame.index for frame in source] == [96, 97, 98, 99]
        assert source.dropped == 96 and source.reconnects == 0
        assert source.problems() == ["96 of 100 frames dropped to keep up", "ended: gone"]


def test_without_dropping_the_sender_waits() -> None:
    sent = 0

    def counted() -> Connection:
        nonlocal sent
        for i in range(30):
            sent += 1
            yield picture(i)
        raise LcTrtError("camera: gone")

    options = impatient(drop=Drop.NONE, retries=0)
    with Live("camera", counted, options) as source:
        time.sleep(0.1)
        assert sent <= 5 + 1
        frames = list(source)
        assert [frame.index for frame in frames] == list(range(30)) and source.dropped == 0
        moments = [frame.time for frame in frames]
        assert moments == sorted(moments) and moments[0] is not None and moments[0] < 0.1


def test_a_lost_source_is_reconnected_and_counted() -> None:
    tries: list[float] = []

    def flaky() -> Connection:
        tries.append(time.monotonic())
        # Two connections of three frames, each after two failures; then no more.
        yield from connection(3 if len(tries) in (1, 4, 7) else 0, then=f"try {len(tries)}")

    options = impatient(drop=Drop.NONE, retries=3)
    with Live("camera", flaky, options) as source:
        frames = list(source)
        assert [frame.index for frame in frames] == list(range(9))
        assert source.reconnects == 2
        assert source.problems() == ["reconnected 2 times", "ended: try 10"]
    # Longer each time, and short again after a success; a busy machine only adds to it.
    assert (np.diff(tries) >= [0.01, 0.02, 0.04] * 3).all()


def test_a_source_that_never_connected_fails_at_once() -> None:
    def fails() -> Connection:
        raise LcTrtError("camera: cannot be opened")
        yield

    start = time.monotonic()
    with pytest.raises(LcTrtError, match="camera: cannot be opened"):
        Live("camera", fails, impatient(retries=100))
    assert time.monotonic() - start < 1


@pytest.mark.parametrize("frames", [0, 2])
def test_an_unresponsive_driver_is_given_up(frames: int) -> None:
    gate = threading.Event()

    def hangs() -> Connection:
        for i in range(frames):
            yield picture(i)
        gate.wait()

    start = time.monotonic()
    options = impatient(timeout=0.2)
    try:
        if frames:
            with Live("camera", hangs, options) as source:
                assert len(list(source)) == 2
                assert source.problems() == ["ended: no response for 0.4 s"]
                gate.set()
        else:
            with pytest.raises(LcTrtError, match=r"camera: no frame within 0\.2 s"):
                Live("camera", hangs, options)
    finally:
        gate.set()
    assert time.monotonic() - start < 3


def test_an_unexpected_error_is_reported() -> None:
    def breaks() -> Connection:
        yield picture(0)
        raise RuntimeError("driver")

    with Live("camera", breaks, impatient(retries=0)) as source:
        assert len(list(source)) == 1
        assert source.problems() == ["ended: unexpected RuntimeError: driver"]


def test_a_password_is_not_shown() -> None:
    with pytest.raises(LcTrtError) as caught:
        open_source("rtsp://me:secret@127.0.0.1:1/cam", live=impatient(timeout=2))
    assert "secret" not in str(caught.value) and "rtsp://127.0.0.1:1/cam" in str(caught.value)


def test_the_reason_for_the_end_outlives_closing_and_closing_is_no_problem() -> None:
    with Live("camera", lambda: connection(1), impatient(retries=0)) as source:
        assert len(list(source)) == 1
    assert source.problems() == ["ended: gone"]
    with Live("camera", lambda: connection(10**9, 0.01), impatient()) as source:
        next(iter(source))
    wait_until(no_reader_runs)
    assert not any("ended" in line for line in source.problems())


def test_a_webcam_through_opencv(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """The device is a file that ends and is opened again, like a camera that was unplugged."""
    path, opened, open_file = write_video(tmp_path / "v.avi", 5), [], cv2.VideoCapture

    def capture(number: int) -> cv2.VideoCapture:
        opened.append(number)
        return open_file(str(path if len(opened) < 3 else tmp_path / "none.avi"))

    monkeypatch.setattr(cv2, "VideoCapture", capture)
    options = impatient(drop=Drop.NONE, retries=1)
    with open_source("3", live=options) as source:
        assert source.name == "webcam 3" and source.count is None
        frames = list(source)
    assert [frame.index for frame in frames] == list(range(10))
    assert frames[0].image.shape == (48, 64, 3) and frames[4].image.mean() > 150
    assert opened == [3] * 3 and source.reconnects == 1
    assert "ended: cannot be opened; is it plugged in" in source.problems()[-1]


@pytest.fixture(params=["tcp", "rtsp"])
def camera(request: pytest.FixtureRequest) -> Iterator[Callable[[], subprocess.Popen[bytes]]]:
    """Starts a server, at the same port each time; `camera.url` is its address."""
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        port = probe.getsockname()[1]
    started: list[subprocess.Popen[bytes]] = []

    def start() -> subprocess.Popen[bytes]:
        server = Path(__file__).parents[2] / "helpers" / "stream_server.py"
        started.append(
            subprocess.Popen([sys.executable, str(server), request.param, str(port), "100"])
        )
        return started[-1]

    start.url = f"{request.param}://127.0.0.1:{port}"  # type: ignore[attr-defined]
    yield start
    for process in started:
        process.kill()
        process.wait()


def open_when_there(url: str, timeout: float = 10, retries: int = 1000) -> Live:
    options = impatient(timeout=timeout, retries=retries, longest_pause=0.2)
    deadline = time.monotonic() + 30
    while True:  # the server needs a moment to listen
        try:
            source = open_source(url, live=options)
        except LcTrtError:
            assert time.monotonic() < deadline
            time.sleep(0.1)
        else:
            assert isinstance(source, Live)
            return source


def test_a_stream_that_stops_and_comes_back(
    camera: Callable[[], subprocess.Popen[bytes]],
) -> None:
    """The server of a real MPEG stream is killed and restarted; the run continues."""
    server = camera()
    engine = open_onnx("onnxruntime", toy_model(), threads=1)
    done = {"before": 0, "after": 0}
    give_up = time.monotonic() + 120

    def on_frame(stats: pipeline.Stats, *_: object) -> None:
        nonlocal server
        time.sleep(0.03)  # slower than the 100 frames per second that arrive
        if stats.reconnects:
            done["after"] += 1
            return
        done["before"] += 1
        if done["before"] == 20:
            server.send_signal(signal.SIGKILL)
            server.wait()
            server = camera()

    with open_when_there(camera.url) as source:  # type: ignore[attr-defined]
        stats = pipeline.run(
            [source],
            Segmenter(engine, toy_manifest()),
            [[]],
            on_frame=on_frame,
            stop=lambda: done["after"] >= 10 or time.monotonic() > give_up,
        )
        report = source.problems()
    assert done["before"] >= 20 and done["after"] == 10
    assert stats.reconnects == 1 and stats.dropped > 10
    assert stats.frames == done["before"] + done["after"]
    assert report[1] == "reconnected once" and "dropped to keep up" in report[0]


def test_a_silent_stream_is_given_up(
    camera: Callable[[], subprocess.Popen[bytes]],
) -> None:
    """The connection stays open but sends nothing."""
    server = camera()
    with open_when_there(camera.url, timeout=1, retries=0) as source:  # type: ignore[attr-defined]
        frames = iter(source)
        assert next(frames).image.shape == (48, 64, 3)
        server.send_signal(signal.SIGSTOP)
        start = time.monotonic()
        for _ in frames:
            pass
        assert time.monotonic() - start < 4
        assert source.problems()[-1] == "ended: timed out"
