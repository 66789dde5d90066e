"""Sources are recognised, read in order, or refused in one line."""

from __future__ import annotations

from collections.abc import Iterator
from functools import partial
from http.server import SimpleHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from threading import Thread

import cv2
import numpy as np
import pytest
from toy_models import bgr
from toy_videos import write_video

from lc_trt.errors import LcTrtError
from lc_trt.video.sources.open import open_source
from lc_trt.video.sources.video_file import VideoFile


def test_an_image(tmp_path: Path) -> None:
    path = tmp_path / "street.png"
    cv2.imwrite(str(path), bgr(1, 2, 3))
    with open_source(str(path)) as source:
        assert (source.count, source.fps, list(source.files())) == (1, None, [path])
        (frame,) = source
    assert (frame.index, frame.name) == (0, "street")
    assert np.array_equal(frame.image, bgr(1, 2, 3))


@pytest.mark.parametrize("suffix", ["", ".dat"])
def test_images_are_recognised_by_content(tmp_path: Path, suffix: str) -> None:
    cv2.imwrite(str(tmp_path / "a.png"), bgr(1, 2, 3))
    path = (tmp_path / "a.png").rename(tmp_path / f"picture{suffix}")
    assert len(list(open_source(str(path)))) == 1


def test_a_folder_is_sorted_by_number(tmp_path: Path) -> None:
    for name in ("f10.png", "f2.png", "f1.JPG", "g.bmp"):
        cv2.imwrite(str(tmp_path / name), bgr(0, 0, 0))
    (tmp_path / "notes.txt").write_text("x")
    (tmp_path / ".hidden.png").write_bytes(b"x")
    source = open_source(str(tmp_path))
    assert source.count == 4
    assert [(f.index, f.name) for f in source] == [(0, "f1"), (1, "f2"), (2, "f10"), (3, "g")]


def test_a_pattern(tmp_path: Path) -> None:
    for name in ("a1.png", "a2.png", "b1.png"):
        cv2.imwrite(str(tmp_path / name), bgr(0, 0, 0))
    assert [f.name for f in open_source(str(tmp_path / "a?.png"))] == ["a1", "a2"]
    # A file whose own name looks like a pattern is that file.
    (tmp_path / "b1.png").rename(tmp_path / "a[1].png")
    assert [f.name for f in open_source(str(tmp_path / "a[1].png"))] == ["a[1]"]


def test_a_video(tmp_path: Path) -> None:
    path = write_video(tmp_path / "v.mp4", 7, fps=12.5)
    with open_source(str(path)) as source:
        assert (source.count, source.fps) == (7, 12.5)
        frames = list(source)
    assert [f.name for f in frames] == [f"frame{i:06d}" for i in range(7)]
    levels = [int(f.image.mean()) for f in frames]
    assert levels == sorted(levels) and levels[0] < 10 and levels[-1] > 150
    # A reader that reuses its buffer would have overwritten the first.
    assert frames[0].image is not frames[1].image


def refusal(text: str, capfd: pytest.CaptureFixture[str]) -> str:
    with pytest.raises(LcTrtError) as caught:
        open_source(text)
    message = str(caught.value)
    assert "\n" not in message and message.startswith(text)
    assert capfd.readouterr() == ("", "")  # no chatter of OpenCV's
    return message


def test_unusable_sources_are_refused_by_name(
    tmp_path: Path, capfd: pytest.CaptureFixture[str]
) -> None:
    assert "no such file" in refusal(str(tmp_path / "none.mp4"), capfd)
    assert "no images in it" in refusal(str(tmp_path), capfd)
    assert "no matching file" in refusal(str(tmp_path / "*.png"), capfd)
    (tmp_path / "empty.mp4").touch()
    assert "an empty file" in refusal(str(tmp_path / "empty.mp4"), capfd)
    (tmp_path / "text.txt").write_text("hello, world")
    assert "cannot be opened" in refusal(str(tmp_path / "text.txt"), capfd)
    whole = write_video(tmp_path / "v.mp4", 5).read_bytes()
    for length in (100, len(whole) // 2):  # within the pictures, and within the index
        (tmp_path / "cut.mp4").write_bytes(whole[:length])
        assert "truncated before its index (the moov atom" in refusal(
            str(tmp_path / "cut.mp4"), capfd
        )


def test_a_video_without_frames(tmp_path: Path, capfd: pytest.CaptureFixture[str]) -> None:
    path = write_video(tmp_path / "v.avi", 5)
    whole = path.read_bytes()
    path.write_bytes(whole[: whole.index(b"movi") + 4])  # the headers, no picture after them
    assert "no frame can be decoded" in refusal(str(path), capfd)


@pytest.fixture
def server(tmp_path: Path) -> Iterator[str]:
    """Address of a web server for the files in the folder."""

    class Quiet(SimpleHTTPRequestHandler):
        def log_message(self, *_: object) -> None:
            pass

    http = ThreadingHTTPServer(("127.0.0.1", 0), partial(Quiet, directory=str(tmp_path)))
    thread = Thread(target=http.serve_forever)
    thread.start()
    yield f"http://127.0.0.1:{http.server_port}"
    http.shutdown()
    thread.join()
    http.server_close()


def test_a_video_file_on_a_server_is_finite(tmp_path: Path, server: str) -> None:
    write_video(tmp_path / "v.mp4", 7)
    with open_source(f"{server}/v.mp4") as source:
        assert isinstance(source, VideoFile) and source.count == 7
        assert len(list(source)) == 7 and not source.problems()
    with pytest.raises(LcTrtError, match=r"none\.mp4: cannot be opened \(.*404"):
        open_source(f"{server}/none.mp4")


def test_a_missing_webcam_is_an_error(capfd: pytest.CaptureFixture[str]) -> None:
    with pytest.raises(LcTrtError, match="webcam 97: cannot be opened; is it plugged in"):
        open_source("97")
    assert capfd.readouterr() == ("", "")


def test_a_file_named_by_a_number_is_no_webcam(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(tmp_path)
    cv2.imwrite("a.png", bgr(0, 0, 0))
    Path("a.png").rename("0")
    assert open_source("0").count == 1
