"""`lc-trt run` as a person calls it."""

from __future__ import annotations

import json
import os
import signal
import subprocess
import sys
from pathlib import Path

import cv2
import numpy as np
import pytest
from toy_models import bgr, toy_bundle
from toy_videos import add_sound, read_video, write_video

from lc_trt.cli.app import main


@pytest.fixture
def here(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """A current folder with a bundle, a video and an image in it."""
    monkeypatch.chdir(tmp_path)
    toy_bundle(Path("toy.lct"), backend="onnxruntime")
    write_video(Path("v.mp4"), 6)
    cv2.imwrite("a.png", bgr(255, 0, 200))
    return tmp_path


def call(*args: str) -> int:
    return main(["run", "toy.lct", "--threads", "1", *args])


def test_a_video_becomes_a_video(here: Path, capfd: pytest.CaptureFixture[str]) -> None:
    assert call("--source", "v.mp4", "--save", "out/o.mp4", "--rho", "fast") == 0
    out, err = capfd.readouterr()
    assert out.startswith("6 frames in ") and out.endswith("wrote out/o.mp4\n")
    assert "left at stage 1, 2, 3: " in out and err == ""
    assert len(read_video(Path("out/o.mp4"))) == 6


def test_several_views_in_one_pass(here: Path, capfd: pytest.CaptureFixture[str]) -> None:
    assert (
        call(
            *("-s", "v.mp4", "--json", "--frames", "4", "--save-labels", "labels.npz"),
            *("-v", "stages", "-o", "stages.mp4"),
            *("-v", "side-by-side", "-o", "side.png"),
            *("-v", "mask", "-o", "masks"),
        )
        == 0
    )
    *lines, last = map(json.loads, capfd.readouterr().out.splitlines())
    summary = last["summary"]
    assert summary["frames"] == len(lines) == 4
    assert summary["outputs"] == ["stages.mp4", "side.png", "masks", "labels.npz"]
    assert [line["frame"] for line in lines] == [0, 1, 2, 3]
    assert [line["time"] for line in lines] == pytest.approx([0, 0.04, 0.08, 0.12])
    for line in lines:
        assert line["source"] == "v.mp4" and set(line["areas"]) <= {"sky", "road", "car", "tree"}
        assert sum(line["areas"].values()) == pytest.approx(1, abs=1e-3)
        assert sum(line["shares"]) == pytest.approx(1, abs=1e-3)
        assert set(line["timing_ms"]) == {"prepare", "engine", "finish", "total"}
    assert set(summary["latency_ms"]) == {"p50", "p95"} and summary["fps"] > 0
    assert sum(summary["shares"]) == pytest.approx(1, abs=1e-3) and not summary["interrupted"]
    assert len(read_video(Path("stages.mp4"))) == 4
    side = cv2.imread("side.png")
    assert side is not None and side.shape == (48, 192, 3)
    assert len(list(Path("masks").iterdir())) == 4


def test_names_by_default(here: Path, capfd: pytest.CaptureFixture[str]) -> None:
    assert call("-s", "a.png") == 0
    assert call("-s", "v.mp4", "-v", "mask", "-v", "stages") == 0
    capfd.readouterr()
    assert Path("a_overlay.png").is_file()
    assert Path("v_mask.mp4").is_file() and Path("v_stages.mp4").is_file()


def test_alpha_and_the_mask(here: Path) -> None:
    assert call("-s", "a.png", "-v", "overlay", "-o", "o.png", "--alpha", "1") == 0
    assert call("-s", "a.png", "-v", "mask", "-o", "m.png") == 0
    overlay, mask = cv2.imread("o.png"), cv2.imread("m.png")
    assert overlay is not None and mask is not None
    assert (overlay[-10:] == mask[-10:]).all()


@pytest.mark.parametrize(
    ("args", "code", "message"),
    [
        (["-s", "none.mp4"], 1, "none.mp4: no such file"),
        (["-s", "v.mp4", "-o", "a.png/out.mp4"], 1, "a.png/out.mp4: cannot be written"),
        (["-s", "v.mp4", "-o", "v.mp4"], 1, "v.mp4: would overwrite the source"),
        (["-s", "v.mp4", "-o", "o.wav"], 2, "unknown output format '.wav'"),
        (["-s", "v.mp4", "--rho", "1.2"], 2, "rho 1.2: expected one or two numbers from 0 to 1"),
        (["-s", "v.mp4", "--rho", "x"], 2, "rho x: expected"),
        (["-s", "v.mp4", "--view", "depth"], 2, "'depth' is not one of"),
        (["-s", "v.mp4", "--alpha", "2"], 2, "--alpha"),
        (["-s", "v.mp4", "--frames", "0"], 2, "--frames"),
        (["-s", "v.mp4", "-v", "mask", "-v", "stages", "-o", "o.mp4"], 2, "1 --save and 2 --view"),
        ([], 2, "--source"),
        (["-s", "-"], 2, "source -: needs the size of the frames, as in --raw 640x480"),
        (["-s", "v.mp4", "--raw", "64x48"], 2, "--raw: applies to frames on stdin"),
        (["-s", "-", "--raw", "64"], 2, "--raw '64': expected WxH"),
        (["-s", "v.mp4", "--drop", "newest"], 2, "--drop newest: expected oldest or none"),
        (["-s", "v.mp4", "--json", "--save-labels", "-"], 2, "both write to stdout"),
        (["-s", "v.mp4", "--fit", "crop"], 2, "'crop' is not one of"),
        (["-s", "v.mp4", "-s", "a.png", "-o", "o.mp4"], 2, "several sources need a folder"),
        (["-s", "http://127.0.0.1:1/x"], 1, "127.0.0.1:1/x: cannot be opened"),
    ],
)
def test_errors_are_one_line(
    here: Path, capfd: pytest.CaptureFixture[str], args: list[str], code: int, message: str
) -> None:
    before = sorted(here.iterdir())
    assert call(*args) == code
    out, err = capfd.readouterr()
    assert out == "" and err.count("\n") == 1 and message in err
    assert sorted(here.iterdir()) == before


def test_a_broken_bundle_is_one_line(here: Path, capfd: pytest.CaptureFixture[str]) -> None:
    model = Path("toy.lct/model.onnx")
    model.write_bytes(model.read_bytes()[:-10])
    assert call("-s", "v.mp4") == 1
    err = capfd.readouterr().err
    assert err.count("\n") == 1 and "model.onnx was truncated or edited" in err


def test_a_cut_video_is_warned_about(here: Path, capfd: pytest.CaptureFixture[str]) -> None:
    path = write_video(Path("cut.avi"), 40)
    path.write_bytes(path.read_bytes()[: path.stat().st_size // 2])
    assert call("-s", "cut.avi", "-o", "o.mp4") == 0
    assert "of 40 frames could be read" in capfd.readouterr().err


def test_raw_frames_in_and_raw_labels_out(here: Path, repository: Path) -> None:
    frames = np.stack([bgr(255, 0, red, (48, 64)) for red in (10, 70, 140, 200)])
    half = frames[:2].tobytes()[: 48 * 64 * 3]
    arguments = ["run", "toy.lct", "-s", "-", "--raw", "64x48", "--save-labels", "-"]
    done = subprocess.run(
        [sys.executable, "-m", "lc_trt", *arguments],
        env={**os.environ, "PYTHONPATH": str(repository)},
        input=frames.tobytes() + half[:1000],
        capture_output=True,
        timeout=60,
        check=True,
    )
    labels = np.frombuffer(done.stdout, np.uint8).reshape(4, 48, 64)
    assert np.array_equal(labels, frames[..., 2] // 64)
    lines = done.stderr.decode().splitlines()
    assert lines[0].startswith("warning: stdin: the last frame is incomplete: 1000 of 9216 bytes")
    assert lines[1].startswith("4 frames in ")
    assert sorted(p.name for p in here.iterdir()) == ["a.png", "toy.lct", "v.mp4"]


def test_a_reader_that_has_enough_ends_the_run(here: Path, repository: Path) -> None:
    write_video(Path("long.avi"), 3000)
    process = subprocess.Popen(
        [sys.executable, "-m", "lc_trt", "run", "toy.lct", "-s", "long.avi", "--json"],
        env={**os.environ, "PYTHONPATH": str(repository)},
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        text=True,
    )
    assert process.stdout is not None and process.stderr is not None
    assert json.loads(process.stdout.readline())["frame"] == 0
    process.stdout.close()
    with process.stderr:
        error = process.stderr.read()
    assert process.wait(timeout=60) == 0, error
    assert error.startswith("stopped after ") and error.count("\n") == 1


def test_sound_is_dropped_and_said_so(here: Path, capfd: pytest.CaptureFixture[str]) -> None:
    add_sound(Path("v.mp4"), Path("loud.mp4"))
    assert call("-s", "loud.mp4", "-o", "o.mp4") == 0
    assert capfd.readouterr().err == "loud.mp4: audio is dropped, o.mp4 has none\n"
    assert call("-s", "loud.mp4", "-o", "o.png") == 0
    assert capfd.readouterr().err == ""


def test_letterboxed(here: Path) -> None:
    for fit in ("stretch", "letterbox"):
        assert call("-s", "a.png", "-v", "mask", "-o", f"{fit}.png", "--fit", fit) == 0
    one, other = cv2.imread("stretch.png"), cv2.imread("letterbox.png")
    assert one is not None and np.array_equal(one, other)  # one colour all over


@pytest.mark.parametrize(
    ("suffix", "number"), [("mp4", signal.SIGINT), ("mkv", signal.SIGINT), ("mp4", signal.SIGTERM)]
)
def test_ctrl_c_keeps_what_was_done(
    here: Path, repository: Path, suffix: str, number: signal.Signals
) -> None:
    write_video(Path("long.avi"), 3000)
    saved = f"o.{suffix}"
    arguments = ["run", "toy.lct", "-s", "long.avi", "-o", saved, "--threads", "1", "--json"]
    process = subprocess.Popen(
        [sys.executable, "-m", "lc_trt", *arguments],
        env={**os.environ, "PYTHONPATH": str(repository)},
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        text=True,
    )
    assert process.stdout is not None
    for _ in range(5):
        assert "frame" in json.loads(process.stdout.readline())
    process.send_signal(number)
    out, err = process.communicate(timeout=60)
    assert process.returncode == 0, err
    summary = json.loads(out.splitlines()[-1])["summary"]
    assert summary["interrupted"] and 0 < summary["frames"] < 3000
    stopping, stopped = err.splitlines()
    assert stopping.startswith("stopping after this frame")
    assert stopped == f"stopped after {summary['frames']} frames"
    assert len(read_video(Path(saved))) == summary["frames"]
    assert not list(here.glob(".o.*"))
