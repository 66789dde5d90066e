"""Encoded videos, decoded again with OpenCV, which has its own decoder."""

from __future__ import annotations

import errno
from pathlib import Path

import av
import cv2
import numpy as np
import pytest
from toy_models import bgr
from toy_videos import read_video, times, write_video

from lc_trt.errors import LcTrtError
from lc_trt.video.base import Frame
from lc_trt.video.sinks.encode import VideoSink


def names(folder: Path) -> list[str]:
    return sorted(p.name for p in folder.iterdir())


def level(i: int, size: tuple[int, int] = (48, 64), time: float | None = None) -> Frame:
    return Frame(bgr(50 * i, 50 * i, 50 * i, size), i, f"f{i}", time)


@pytest.mark.parametrize("suffix", [".mp4", ".MP4", ".avi", ".mkv"])
@pytest.mark.parametrize("size", [(48, 64), (47, 63), (1, 1)])
def test_a_video_appears_when_it_is_complete(
    tmp_path: Path, suffix: str, size: tuple[int, int]
) -> None:
    path = tmp_path / "new" / f"out{suffix}"
    sink = VideoSink(path, 30, scale=False)
    for i in range(4):
        frame = level(i, size)
        sink.write(frame.image, frame)
        assert not path.exists()
    sink.finish()
    assert names(path.parent) == [path.name]
    frames = read_video(path)
    assert len(frames) == 4
    # An odd size is made even by repeating the edge: nothing is cut off.
    assert frames[0].shape == (size[0] + size[0] % 2, size[1] + size[1] % 2, 3)
    assert [abs(int(f.mean()) - 50 * i) < 6 for i, f in enumerate(frames)] == [True] * 4
    capture = cv2.VideoCapture(str(path))
    assert capture.get(cv2.CAP_PROP_FPS) == pytest.approx(30, abs=0.01)


@pytest.mark.parametrize("suffix", [".mp4", ".mkv", ".avi"])
def test_a_variable_frame_rate_is_preserved(tmp_path: Path, suffix: str) -> None:
    path = tmp_path / f"out{suffix}"
    sink = VideoSink(path, 25, scale=False)
    written = [0, 0.04, 0.12, 0.16, 0.4, 0.4]  # the last time stamp occurs twice
    for i, time in enumerate(written):
        frame = level(i % 5, time=time)
        sink.write(frame.image, frame)
    sink.finish()
    read = times(path)
    assert read[:5] == pytest.approx(written[:5], abs=0.002)
    assert read[5] > read[4]


def test_an_aborted_video_leaves_the_old_one(tmp_path: Path) -> None:
    path = write_video(tmp_path / "out.mp4", 3)
    before = path.read_bytes()
    sink = VideoSink(path, 30, scale=False)
    sink.write(level(0).image, level(0))
    sink.abort()
    assert names(tmp_path) == ["out.mp4"] and path.read_bytes() == before


def test_nothing_written_leaves_nothing(tmp_path: Path) -> None:
    VideoSink(tmp_path / "a.mp4", 30, scale=False).finish()
    assert names(tmp_path) == []


def test_a_video_has_one_size(tmp_path: Path) -> None:
    for scale in (False, True):
        sink = VideoSink(tmp_path / "out.mp4", 30, scale=scale)
        sink.write(level(0, (40, 60)).image, level(0))
        other = level(1, (40, 62))
        if scale:
            sink.write(other.image, other)
            sink.finish()
        else:
            with pytest.raises(LcTrtError, match=r"f1 is 62x40, expected 60x40.* folder"):
                sink.write(other.image, other)
            sink.abort()
    assert [f.shape for f in read_video(tmp_path / "out.mp4")] == [(40, 60, 3)] * 2


def test_a_full_disk_is_a_one_line_error(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    def full(*_: object, **__: object) -> None:
        raise OSError(errno.ENOSPC, "No space left on device")

    sink = VideoSink(tmp_path / "out.mp4", 30, scale=False)
    monkeypatch.setattr(av, "open", full)
    with pytest.raises(
        LcTrtError, match=r"out\.mp4: cannot be written \(No space left on device\)"
    ):
        sink.write(np.zeros((4, 4, 3), np.uint8), level(0))
    sink.abort()
    assert names(tmp_path) == []
