"""Video files, also truncated ones."""

from __future__ import annotations

import re
from pathlib import Path

import pytest
from toy_videos import add_sound, film, write_video

from lc_trt.video.sources.video_file import VideoFile


@pytest.mark.skipif(not Path("/proc/self/task").is_dir(), reason="needs Linux's list of threads")
def test_closing_early_leaves_no_thread(tmp_path: Path) -> None:
    path = film(tmp_path / "v.mp4", count=20)

    def threads() -> int:
        return len(list(Path("/proc/self/task").iterdir()))

    before = threads()
    source = VideoFile(str(path))
    frames = iter(source)
    next(frames), next(frames)
    assert threads() > before, "the codec has threads of its own"
    source.close()
    assert threads() == before
    assert list(frames) == [] and source.problems() == []


@pytest.mark.parametrize("suffix", [".mp4", ".mkv", ".avi"])
def test_properties_from_the_header(tmp_path: Path, suffix: str) -> None:
    with VideoFile(str(film(tmp_path / f"v{suffix}", 10))) as source:
        assert source.count == 10 and source.fps == pytest.approx(25, rel=0.03)
        assert source.audio_streams == 0
        assert len(list(source)) == 10 and source.problems() == []


def test_audio_streams_are_counted(tmp_path: Path) -> None:
    with VideoFile(
        str(add_sound(write_video(tmp_path / "v.mp4", 5), tmp_path / "loud.mp4"))
    ) as source:
        assert source.audio_streams == 1 and len(list(source)) == 5


@pytest.mark.parametrize("suffix", [".mkv", ".avi"])
def test_a_truncated_video_gives_its_complete_frames(tmp_path: Path, suffix: str) -> None:
    path = film(tmp_path / f"v{suffix}", 60, noise=90)
    path.write_bytes(path.read_bytes()[: path.stat().st_size // 2])
    with VideoFile(str(path)) as source:
        count = len(list(source))
        assert 15 < count < 45
        sentences = " ".join(source.problems())
    assert re.search(rf"\b{count} of (about )?60 frames could be read", sentences)


def test_a_video_closed_early_is_not_reported_as_truncated(tmp_path: Path) -> None:
    with VideoFile(str(film(tmp_path / "v.mp4", 60))) as source:
        frames = iter(source)
        assert [next(frames).index for _ in range(3)] == [0, 1, 2]
        assert source.problems() == []
        source.close()
        assert list(frames) == []  # after closing there are none, and no crash
