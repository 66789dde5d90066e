"""Runs: to the end, to a limit, to Ctrl-C, to an error."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest
from toy_models import toy_manifest, toy_model
from toy_videos import read_video, write_video

from lc_trt.errors import LcTrtError, UsageError
from lc_trt.runtime.engines import create_engine
from lc_trt.runtime.segmenter import Segmenter
from lc_trt.runtime.views import View
from lc_trt.video import pipeline
from lc_trt.video.sinks import open_sinks
from lc_trt.video.sources import open_source


def toy(kind: str = "cascade", batch: int = 1) -> Segmenter:
    engine = create_engine("onnxruntime", toy_model(kind, batch=batch), threads=1)
    return Segmenter(engine, toy_manifest(kind, batch=batch))


@pytest.mark.parametrize("batch", [1, 3])
@pytest.mark.parametrize("limit", [None, 4, 100])
def test_every_frame_once_and_every_view_in_its_place(
    tmp_path: Path, batch: int, limit: int | None
) -> None:
    seen: list[int] = []
    paths = [tmp_path / "mask.avi", tmp_path / "side.avi", tmp_path / "folder"]
    with open_source(str(write_video(tmp_path / "v.mp4", 7))) as source:
        views = [View.MASK, View.SIDE_BY_SIDE, View.STAGES]
        outputs = list(zip(views, open_sinks(paths, source, limit), strict=True))
        stats = pipeline.run(
            source,
            toy(batch=batch),
            outputs,
            rho=(0.4, 0.05),
            limit=limit,
            on_frame=lambda s: seen.append(s.frames),
        )
    frames = min(7, limit or 7)
    assert seen == list(range(1, frames + 1))
    assert stats.frames == stats.expected == frames and not stats.cut_short
    assert stats.fps == pytest.approx(frames / stats.seconds)
    assert 0 < stats.percentile(50) <= stats.percentile(95)
    # Brightness climbs from 0 to 200 in steps of 33: a frame is easy above 102, hard up to 12.
    levels = np.linspace(0, 200, 7)[:frames]
    expected = [(levels > 102).mean(), ((levels <= 102) & (levels > 12)).mean()]
    assert stats.shares is not None and stats.shares[:2] == pytest.approx(expected)
    assert sum(stats.shares) == pytest.approx(1)
    assert len(read_video(paths[0])) == len(read_video(paths[1])) == frames
    assert read_video(paths[1])[0].shape == (48, 192, 3)
    assert len(list(paths[2].iterdir())) == frames


@pytest.mark.parametrize("batch", [1, 2])
def test_a_stopped_run_ends_with_a_playable_file(tmp_path: Path, batch: int) -> None:
    seen: list[int] = []
    with open_source(str(write_video(tmp_path / "v.mp4", 9))) as source:
        (sink,) = open_sinks([tmp_path / "out.mp4"], source)
        stats = pipeline.run(
            source,
            toy(batch=batch),
            [(View.OVERLAY, sink)],
            on_frame=lambda s: seen.append(s.frames),
            stop=lambda: seen[-1:] == [3],
        )
    assert stats.interrupted and not stats.cut_short and stats.frames == 3
    assert len(read_video(tmp_path / "out.mp4")) == 3


def test_an_error_leaves_nothing(tmp_path: Path) -> None:
    write_video(tmp_path / "v.mp4", 9)
    for error in (LcTrtError("disk full"), RuntimeError("?")):

        def fail(stats: pipeline.Stats, error: Exception = error) -> None:
            if stats.frames == 3:
                raise error

        with open_source(str(tmp_path / "v.mp4")) as source:
            paths = [tmp_path / "a.mp4", tmp_path / "b.png"]
            outputs = [(View.OVERLAY, sink) for sink in open_sinks(paths, source)]
            with pytest.raises(type(error)):
                pipeline.run(source, toy(), outputs, on_frame=fail)
    assert [p.name for p in tmp_path.iterdir()] == ["v.mp4"]


def test_stages_of_a_dense_network_are_refused(tmp_path: Path) -> None:
    with open_source(str(write_video(tmp_path / "v.mp4", 2))) as source:
        (sink,) = open_sinks([tmp_path / "out.mp4"], source)
        with pytest.raises(UsageError, match="dense and has no stages"):
            pipeline.run(source, toy("dense"), [(View.STAGES, sink)])
    assert [p.name for p in tmp_path.iterdir()] == ["v.mp4"]


def test_a_dense_run_has_no_shares(tmp_path: Path) -> None:
    with open_source(str(write_video(tmp_path / "v.mp4", 2))) as source:
        stats = pipeline.run(source, toy("dense"), [])
    assert stats.frames == 2 and stats.shares is None


def test_a_video_that_is_cut_is_noticed(tmp_path: Path) -> None:
    path = write_video(tmp_path / "v.avi", 40)
    path.write_bytes(path.read_bytes()[: path.stat().st_size // 2])
    with open_source(str(path)) as source:
        stats = pipeline.run(source, toy(), [])
    assert stats.expected == 40 and 0 < stats.frames < 35 and stats.cut_short


def test_before_the_first_frame() -> None:
    stats = pipeline.Stats()
    assert (stats.fps, stats.shares, stats.percentile(50)) == (0, None, 0)
    assert not stats.cut_short
