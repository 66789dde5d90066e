"""Images and frames of videos, listed first and decoded when they are needed."""

from __future__ import annotations

import shutil
from collections import Counter
from pathlib import Path

import cv2
import numpy as np
import pytest
from toy_videos import write_video

from lc_trt.errors import LcTrtError
from lc_trt.video.frame_set import FrameSet, find_frames


@pytest.fixture
def photos(tmp_path: Path) -> Path:
    """Seven pictures of one grey each: 0, 10, ... 60, and a text file."""
    folder = tmp_path / "photos"
    folder.mkdir()
    for i in range(7):
        cv2.imwrite(str(folder / f"{i}.png"), np.full((8, 8, 3), 10 * i, np.uint8))
    (folder / "notes.txt").write_text("text")
    return folder


@pytest.fixture
def clips(tmp_path: Path) -> Path:
    """Three videos of 20, 10 and 2 frames, from black to a grey of 200."""
    folder = tmp_path / "clips"
    folder.mkdir()
    for name, frames in (("a", 20), ("b", 10), ("c", 2)):
        write_video(folder / f"{name}.avi", frames)
    (folder / ".hidden.avi").write_text("text")
    return folder


def greys(frames: FrameSet) -> list[int]:
    return [round(float(image.mean())) for _, image in frames.read()]


def test_images_are_evenly_spread(photos: Path) -> None:
    assert greys(find_frames(photos, 100)) == [0, 10, 20, 30, 40, 50, 60]
    few = find_frames(photos, 3)
    assert len(few) == 3 and few.clips == 0 and few.origin == "photos"
    assert greys(few) == [0, 20, 40]
    assert greys(find_frames(photos / "3.png", 5)) == [30]
    assert greys(find_frames(photos / "[56].png", 5)) == [50, 60]


def test_frames_are_spread_over_all_clips(clips: Path) -> None:
    frames = find_frames(clips, 9)
    files = Counter(address.file.name for address in frames.addresses)
    assert files == {"a.avi": 3, "b.avi": 3, "c.avi": 2} and frames.clips == 3
    indices = [a.index for a in frames.addresses]
    # The middles of equal parts.
    assert indices == [3, 10, 16, 1, 5, 8, 0, 1]
    found = list(frames.read())
    assert [position for position, _ in found] == list(range(8))
    expected = [200 * i // 19 for i in (3, 10, 16)] + [200 * i // 9 for i in (1, 5, 8)] + [0, 200]
    assert greys(frames) == pytest.approx(expected, abs=3)


def test_more_clips_than_frames_give_one_frame_each(clips: Path) -> None:
    frames = find_frames(clips, 2)
    assert [(a.file.name, a.index) for a in frames.addresses] == [("a.avi", 10), ("b.avi", 5)]
    one = find_frames(clips / "a.avi", 1)
    assert one.clips == 1 and greys(one) == pytest.approx([105], abs=3)


def test_a_selection_reads_its_own_images_only(photos: Path, clips: Path) -> None:
    assert greys(find_frames(photos, 7).select([1, 5])) == [10, 50]
    chosen = find_frames(clips, 9).select([1, 4, 7])
    assert chosen.clips == 3 and [p for p, _ in chosen.read()] == [0, 1, 2]
    assert greys(chosen) == pytest.approx([105, 111, 200], abs=3)


def test_the_digest_is_of_names_sizes_and_frames(photos: Path, clips: Path, tmp_path: Path) -> None:
    digest = find_frames(photos, 7).digest
    copy = shutil.copytree(photos, tmp_path / "copy")
    assert find_frames(copy, 7).digest == digest and len(digest) == 64
    assert find_frames(photos, 6).digest != digest
    (copy / "0.png").write_bytes((copy / "0.png").read_bytes() + b"\0")
    assert find_frames(copy, 7).digest != digest
    assert find_frames(clips, 4).digest != find_frames(clips, 5).digest


def test_an_unreadable_image_raises_or_is_left_out(photos: Path) -> None:
    (photos / "2.png").write_bytes((photos / "2.png").read_bytes()[:20])
    frames = find_frames(photos, 7)
    with pytest.raises(LcTrtError, match=r"2\.png"):
        list(frames.read())
    skipped: list[Path] = []
    assert [p for p, _ in frames.read(skipped.append)] == [0, 1, 3, 4, 5, 6]
    assert skipped == [photos / "2.png"]


def test_what_is_no_set_of_images_is_refused(
    photos: Path, clips: Path, monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    shutil.copy(photos / "0.png", clips)
    with pytest.raises(LcTrtError, match="holds 3 videos and 1 images; expected one kind"):
        find_frames(clips, 3)
    with pytest.raises(LcTrtError, match="no such file"):
        find_frames(tmp_path / "none", 3)
    empty = tmp_path / "empty"
    empty.mkdir()
    with pytest.raises(LcTrtError, match="no images in it"):
        find_frames(empty, 3)

    class Camera:
        fps = 25.0

        def __enter__(self) -> Camera:
            return self

        def __exit__(self, *_: object) -> None: ...

        def files(self) -> tuple[()]:
            return ()

    monkeypatch.setattr("lc_trt.video.frame_set.open_source", lambda text: Camera())
    with pytest.raises(LcTrtError, match="a live source; expected a folder of images, or videos"):
        find_frames(Path("0"), 3)
