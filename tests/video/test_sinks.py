"""Sinks: complete under their name or not there at all."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from pathlib import Path

import cv2
import numpy as np
import pytest
from toy_models import bgr
from toy_videos import read_video, write_video

from lc_trt.errors import LcTrtError, UsageError
from lc_trt.video.sinks import default_output, open_sink, open_sinks
from lc_trt.video.sources import Frame, Source, open_source


class Announced(Source):
    """A source that only announces what it has."""

    def __init__(self, count: int | None, fps: float | None, name: str = "film.mp4") -> None:
        self.count, self.fps, self.name = count, fps, name

    def __iter__(self) -> Iterator[Frame]:
        return iter(())


FILM = Announced(10, 30.0)


def names(folder: Path) -> Sequence[str]:
    return sorted(p.name for p in folder.iterdir())


@pytest.mark.parametrize("suffix", [".mp4", ".MP4", ".avi", ".mkv"])
@pytest.mark.parametrize("size", [(48, 64), (47, 63), (1, 1)])
def test_a_video_appears_when_it_is_complete(
    tmp_path: Path, suffix: str, size: tuple[int, int]
) -> None:
    path = tmp_path / "new" / f"out{suffix}"
    sink = open_sink(path, FILM)
    for i in range(4):
        sink.write(bgr(50 * i, 50 * i, 50 * i, size), "frame")
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


def test_an_aborted_video_leaves_the_old_one(tmp_path: Path) -> None:
    path = write_video(tmp_path / "out.mp4", 3)
    before = path.read_bytes()
    sink = open_sink(path, FILM)
    sink.write(bgr(0, 0, 0), "frame")
    sink.abort()
    assert names(tmp_path) == ["out.mp4"] and path.read_bytes() == before


def test_nothing_written_leaves_nothing(tmp_path: Path) -> None:
    for name in ("a.mp4", "a.png"):
        open_sink(tmp_path / name, FILM).finish()
    assert names(tmp_path) == []


def test_a_video_has_one_size(tmp_path: Path) -> None:
    sink = open_sink(tmp_path / "out.mp4", Announced(2, None))
    sink.write(bgr(0, 0, 0, (40, 60)), "a")
    with pytest.raises(LcTrtError, match=r"b is 62x40, the video 60x40; .* folder"):
        sink.write(bgr(0, 0, 0, (40, 62)), "b")
    sink.abort()


@pytest.mark.parametrize(
    ("source", "limit", "written", "expected"),
    [
        (Announced(1, None), None, 1, 0),
        (FILM, None, 10, 5),
        (FILM, 4, 4, 2),
        (FILM, None, 3, 2),  # ended early: the last one there is
        (Announced(None, 30.0), 6, 6, 3),
    ],
)
def test_an_image_of_a_film_is_its_middle(
    tmp_path: Path, source: Source, limit: int | None, written: int, expected: int
) -> None:
    sink = open_sink(tmp_path / "out.png", source, limit)
    for i in range(written):
        sink.write(bgr(i, i, i), "frame")
    sink.finish()
    assert names(tmp_path) == ["out.png"]
    assert np.array_equal(cv2.imread(str(tmp_path / "out.png")), bgr(expected, expected, expected))


def test_a_folder_keeps_names_apart(tmp_path: Path) -> None:
    (tmp_path / "out").mkdir()
    (tmp_path / "out" / "other.png").write_bytes(b"x")
    sink = open_sink(tmp_path / "out", Announced(3, None))
    for i, name in enumerate(("a", "b", "a")):
        sink.write(bgr(i, i, i), name)
    sink.finish()
    assert names(tmp_path / "out") == ["a.png", "a_2.png", "b.png", "other.png"]
    assert np.array_equal(cv2.imread(str(tmp_path / "out" / "a_2.png")), bgr(2, 2, 2))


@pytest.mark.parametrize("name", ["out.mp4", "out.png", "out"])
def test_an_unwritable_place_is_found_before_the_run(tmp_path: Path, name: str) -> None:
    (tmp_path / "file").write_text("")
    with pytest.raises(LcTrtError, match=r"file.out.*: cannot be written .*--save"):
        open_sink(tmp_path / "file" / name, FILM)


def test_what_makes_no_sense_is_named(tmp_path: Path) -> None:
    with pytest.raises(UsageError, match=r"unknown kind of output '\.wav'; expected a video"):
        open_sink(tmp_path / "out.wav", FILM)
    with pytest.raises(UsageError, match="has 3; save to a folder"):
        open_sink(tmp_path / "out.png", Announced(3, None))
    with pytest.raises(UsageError, match="needs --frames N"):
        open_sink(tmp_path / "out.png", Announced(None, 30.0))
    assert names(tmp_path) == []


def test_the_source_is_not_replaced(tmp_path: Path) -> None:
    video = write_video(tmp_path / "v.mp4", 2)
    with open_source(str(video)) as source, pytest.raises(LcTrtError, match="the source itself"):
        open_sink(tmp_path / "." / "v.mp4", source)
    with open_source(str(video)) as source:
        open_sink(tmp_path, source).finish()  # pictures beside the video do it no harm
    cv2.imwrite(str(tmp_path / "a.png"), bgr(0, 0, 0))
    with pytest.raises(LcTrtError, match="the source itself"):
        open_sink(tmp_path, open_source(str(tmp_path)))


def test_several_are_all_opened_or_none(tmp_path: Path) -> None:
    with pytest.raises(UsageError, match="given twice"):
        open_sinks([tmp_path / "a.mp4", tmp_path / "a.mp4"], FILM)
    with pytest.raises(UsageError, match="unknown kind"):
        open_sinks([tmp_path / "a.mp4", tmp_path / "b.png", tmp_path / "c.wav"], FILM)
    assert names(tmp_path) == []


@pytest.mark.parametrize(
    ("source", "expected"),
    [
        (Announced(9, 25.0, "films/street.mov"), "street_stages.mp4"),
        (Announced(None, 25.0, "webcam 0"), "webcam0_stages.mp4"),
        (Announced(1, None, "a/b.jpg"), "b_stages.png"),
        (Announced(5, None, "photos/rome"), "rome_stages"),
        (Announced(5, None, "photos/*.png"), "images_stages"),
    ],
)
def test_a_name_for_who_gives_none(source: Source, expected: str) -> None:
    assert default_output(source, "stages") == Path(expected)
