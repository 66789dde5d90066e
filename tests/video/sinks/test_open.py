"""Which sink an output path gets, by its suffix and by source."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import replace
from pathlib import Path

import cv2
import numpy as np
import pytest
from toy_models import bgr
from toy_videos import write_video

from lc_trt.errors import LcTrtError, UsageError
from lc_trt.runtime.visualize import View
from lc_trt.video.base import Frame, Source
from lc_trt.video.sinks import open as outputs
from lc_trt.video.sinks.base import Sink
from lc_trt.video.sinks.open import OutputSpec, default_output, open_outputs
from lc_trt.video.sources.open import open_source


class Announced(Source):
    """A source with properties and no frames."""

    def __init__(self, count: int | None, fps: float | None, name: str = "film.mp4") -> None:
        self.count, self.fps, self.name = count, fps, name

    def __iter__(self) -> Iterator[Frame]:
        return iter(())


FILM = Announced(10, 30.0)
COLOURS = ((1, 2, 3), (4, 5, 6))


def wish(*save: Path, views: Sequence[View] = (), limit: int | None = None) -> OutputSpec:
    return OutputSpec(views or [View.OVERLAY] * len(save), save, 0.5, limit=limit)


def one(path: Path, source: Source = FILM, limit: int | None = None) -> Sink:
    ((output,),) = open_outputs([source], wish(path, limit=limit), COLOURS)
    return output.sink


def names(folder: Path) -> Sequence[str]:
    return sorted(p.name for p in folder.iterdir())


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
def test_an_image_of_a_video_is_its_middle_frame(
    tmp_path: Path, source: Source, limit: int | None, written: int, expected: int
) -> None:
    sink = one(tmp_path / "out.png", source, limit)
    for i in range(written):
        picture = bgr(i, i, i)
        sink.write(picture, Frame(picture, i, "frame"))
    sink.finish()
    assert names(tmp_path) == ["out.png"]
    assert np.array_equal(cv2.imread(str(tmp_path / "out.png")), bgr(expected, expected, expected))


@pytest.mark.parametrize("name", ["out.mp4", "out.png", "out"])
def test_an_unwritable_path_is_refused_before_the_run(tmp_path: Path, name: str) -> None:
    (tmp_path / "file").write_text("")
    with pytest.raises(LcTrtError, match=r"file.out.*: cannot be written .*--save"):
        one(tmp_path / "file" / name)


def test_meaningless_options_are_refused(tmp_path: Path) -> None:
    with pytest.raises(UsageError, match=r"unknown output format '\.wav'; expected a video"):
        one(tmp_path / "out.wav")
    with pytest.raises(UsageError, match="has 3; save to a folder"):
        one(tmp_path / "out.png", Announced(3, None))
    with pytest.raises(UsageError, match="needs --frames N"):
        one(tmp_path / "out.png", Announced(None, 30.0))
    with pytest.raises(UsageError, match=r"unknown label format '\.mp4'; expected \.npz"):
        open_outputs([FILM], replace(wish(), labels=tmp_path / "out.mp4"), COLOURS)
    for several in (wish(tmp_path / "a.mp4"), replace(wish(), labels=Path("-"))):
        with pytest.raises(UsageError, match="several sources need a folder"):
            open_outputs([FILM, FILM], several, COLOURS)
    assert names(tmp_path) == []


def test_the_source_is_not_replaced(tmp_path: Path) -> None:
    video = write_video(tmp_path / "v.mp4", 2)
    with open_source(str(video)) as source:
        with pytest.raises(LcTrtError, match="would overwrite the source"):
            one(tmp_path / "." / "v.mp4", source)
        one(tmp_path, source).finish()  # pictures beside the video do it no harm
    # Nor may one source's picture replace another source.
    with (
        open_source(str(video.rename(tmp_path / "film_mask.mp4"))) as source,
        pytest.raises(LcTrtError, match=r"film_mask\.mp4: would overwrite the source"),
    ):
        open_outputs([FILM, source], wish(tmp_path, views=[View.MASK]), COLOURS)
    cv2.imwrite(str(tmp_path / "a.png"), bgr(0, 0, 0))
    with pytest.raises(LcTrtError, match="would overwrite the source"):
        one(tmp_path, open_source(str(tmp_path)))


def test_either_all_sinks_are_opened_or_none(tmp_path: Path) -> None:
    with pytest.raises(UsageError, match="given twice"):
        open_outputs([FILM], wish(tmp_path / "a.mp4", tmp_path / "a.mp4"), COLOURS)
    with pytest.raises(UsageError, match="unknown output format"):
        paths = [tmp_path / name for name in ("a.mp4", "b.png", "c.wav")]
        open_outputs([FILM], wish(*paths), COLOURS)
    assert names(tmp_path) == []


def test_each_of_several_sources_gets_its_own_file(tmp_path: Path) -> None:
    sources = [FILM, Announced(3, None, "a/photos"), Announced(9, 25.0, "b/film.avi")]
    spec = replace(
        wish(tmp_path / "x", tmp_path / "y", views=[View.MASK, View.STAGES]),
        labels=tmp_path / "z",
    )
    sinks = open_outputs(sources, spec, COLOURS)
    outputs.abort(sinks)
    assert [p.relative_to(tmp_path).as_posix() for p in outputs.paths(sinks)] == [
        *("x/film_mask.mp4", "y/film_stages.mp4", "z/film_labels"),
        *("x/photos_mask", "y/photos_stages", "z/photos_labels"),
        *("x/film_mask_2.mp4", "y/film_stages_2.mp4", "z/film_labels_2"),
    ]


def test_a_lost_audio_track_is_reported(tmp_path: Path) -> None:
    loud = Announced(5, 30.0, "concert.mp4")
    loud.audio_streams = 1
    paths = [tmp_path / "a.mp4", tmp_path / "b.png"]
    sinks = open_outputs([loud, FILM], wish(tmp_path / "out"), COLOURS)
    assert list(outputs.dropped_audio([loud, FILM], sinks)) == [
        f"concert.mp4: audio is dropped, {tmp_path / 'out' / 'concert_overlay.mp4'} has none"
    ]
    sinks += open_outputs([loud], wish(*paths), COLOURS)
    assert len(list(outputs.dropped_audio([loud], sinks[2:]))) == 1  # an image has none anyway
    outputs.abort(sinks)


@pytest.mark.parametrize(
    ("source", "expected"),
    [
        (Announced(9, 25.0, "films/street.mov"), "street_stages.mp4"),
        (Announced(None, 25.0, "webcam 0"), "webcam0_stages.mp4"),
        (Announced(None, 25.0, "rtsp://host:554/cam1"), "cam1_stages.mp4"),
        (Announced(1, None, "a/b.jpg"), "b_stages.png"),
        (Announced(5, None, "photos/rome"), "rome_stages"),
        (Announced(5, None, "photos/*.png"), "images_stages"),
    ],
)
def test_default_output_names(source: Source, expected: str) -> None:
    assert default_output(source, "stages") == Path(expected)
