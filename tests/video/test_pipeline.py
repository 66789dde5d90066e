"""Runs that reach the end or a limit, are interrupted, or fail."""

from __future__ import annotations

import threading
import time
from collections.abc import Iterator
from dataclasses import replace
from pathlib import Path

import cv2
import numpy as np
import pytest
from fake_plant import tuned
from toy_models import COLOURS, toy_manifest, toy_model
from toy_videos import read_video, write_video

from lc_trt.backends.load import open_onnx
from lc_trt.errors import LcTrtError, UsageError
from lc_trt.runtime.governor.governor import Governor
from lc_trt.runtime.governor.operating_curve import find_operating_curve
from lc_trt.runtime.segmenter import Segmenter
from lc_trt.runtime.visualize import View
from lc_trt.video import pipeline
from lc_trt.video.base import Frame, Source
from lc_trt.video.sinks.open import Output, OutputSpec, open_outputs
from lc_trt.video.sources.open import open_source, open_sources


def toy(kind: str = "cascade", batch: int = 1) -> Segmenter:
    engine = open_onnx("onnxruntime", toy_model(kind, batch=batch), threads=1)
    return Segmenter(engine, toy_manifest(kind, batch=batch))


def sinks_of(
    source: Source, paths: list[Path], views: list[View] | None = None, limit: int | None = None
) -> list[list[Output]]:
    views = views or [View.OVERLAY] * len(paths)
    return open_outputs([source], OutputSpec(views, paths, 0.5, limit=limit), COLOURS)


class Counted:
    """Records the number of finished frames after each."""

    def __init__(self) -> None:
        self.seen: list[int] = []

    def __call__(self, stats: pipeline.Stats, *_: object) -> None:
        self.seen.append(stats.frames)


@pytest.mark.parametrize("batch", [1, 3])
@pytest.mark.parametrize("limit", [None, 4, 100])
def test_every_frame_once_and_every_view_in_its_place(
    tmp_path: Path, batch: int, limit: int | None
) -> None:
    count = Counted()
    paths = [tmp_path / "mask.avi", tmp_path / "side.avi", tmp_path / "folder"]
    with open_source(str(write_video(tmp_path / "v.mp4", 7))) as source:
        views = [View.MASK, View.SIDE_BY_SIDE, View.STAGES]
        stats = pipeline.run(
            [source],
            toy(batch=batch),
            sinks_of(source, paths, views, limit),
            rho=(0.4, 0.05),
            limit=limit,
            on_frame=count,
        )
        assert not source.problems()
    frames = min(7, limit or 7)
    assert count.seen == list(range(1, frames + 1))
    assert stats.frames == stats.expected == frames and not stats.interrupted
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
    count = Counted()
    with open_source(str(write_video(tmp_path / "v.mp4", 9))) as source:
        stats = pipeline.run(
            [source],
            toy(batch=batch),
            sinks_of(source, [tmp_path / "out.mp4"]),
            on_frame=count,
            stop=lambda: count.seen[-1:] == [3],
        )
    assert stats.interrupted and stats.frames == 3
    assert len(read_video(tmp_path / "out.mp4")) == 3


def test_a_silent_source_can_be_stopped(tmp_path: Path) -> None:
    gate, start = threading.Event(), time.monotonic()

    class Silent(Source):
        name, count, fps = "silent", None, 25.0

        def __iter__(self) -> Iterator[Frame]:
            gate.wait()
            return iter(())

    stats = pipeline.run([Silent()], toy(), [[]], stop=lambda: time.monotonic() > start + 0.2)
    assert stats.interrupted and time.monotonic() < start + 1.5
    gate.set()


def test_an_error_leaves_nothing(tmp_path: Path) -> None:
    write_video(tmp_path / "v.mp4", 9)
    for error in (LcTrtError("disk full"), RuntimeError("?")):

        def fail(stats: pipeline.Stats, *_: object, error: Exception = error) -> None:
            if stats.frames == 3:
                raise error

        with open_source(str(tmp_path / "v.mp4")) as source:
            outputs = sinks_of(source, [tmp_path / "a.mp4", tmp_path / "b.png"])
            with pytest.raises(type(error)):
                pipeline.run([source], toy(), outputs, on_frame=fail)
    assert [p.name for p in tmp_path.iterdir()] == ["v.mp4"]


def test_stages_of_a_dense_network_are_refused(tmp_path: Path) -> None:
    with open_source(str(write_video(tmp_path / "v.mp4", 2))) as source:
        outputs = sinks_of(source, [tmp_path / "out.mp4"], [View.STAGES])
        with pytest.raises(UsageError, match="dense and has no stages"):
            pipeline.run([source], toy("dense"), outputs)
    assert [p.name for p in tmp_path.iterdir()] == ["v.mp4"]


def test_a_dense_run_has_no_shares(tmp_path: Path) -> None:
    with open_source(str(write_video(tmp_path / "v.mp4", 2))) as source:
        stats = pipeline.run([source], toy("dense"), [[]])
    assert stats.frames == 2 and stats.shares is None


@pytest.mark.parametrize("batch", [1, 2])
def test_several_sources_share_a_run(tmp_path: Path, batch: int) -> None:
    """Two videos of different sizes and lengths, and a folder, each into its own file."""
    write_video(tmp_path / "a.mp4", 5)
    write_video(tmp_path / "b.avi", 3, (32, 48))
    (tmp_path / "c").mkdir()
    for i in range(2):
        cv2.imwrite(str(tmp_path / "c" / f"{i}.png"), np.zeros((9, 9, 3), np.uint8))
    order: list[str] = []
    with open_sources([str(tmp_path / name) for name in ("a.mp4", "b.avi", "c")]) as sources:
        wish = OutputSpec([View.MASK], [tmp_path / "out"], 0.5, labels=tmp_path / "labels")
        stats = pipeline.run(
            sources,
            toy(batch=batch),
            open_outputs(sources, wish, COLOURS),
            on_frame=lambda _, source, frame, result: order.append(
                f"{source.name[-1]}{frame.index}"
            ),
        )
    assert stats.frames == stats.expected == 10
    assert order == ["40", "i0", "c0", "41", "i1", "c1", "42", "i2", "43", "44"]
    assert len(read_video(tmp_path / "out" / "a_mask.mp4")) == 5
    assert [f.shape for f in read_video(tmp_path / "out" / "b_mask.mp4")] == [(32, 48, 3)] * 3
    assert len(list((tmp_path / "out" / "c_mask").iterdir())) == 2
    assert len(list((tmp_path / "labels" / "a_labels").iterdir())) == 5


def test_a_governed_run_shares_the_target_among_sources(tmp_path: Path) -> None:
    """The target is per source: with two sources, a frame has half the time."""

    class Told(Governor):
        def record(self, seconds: float, frames: int = 1) -> None:
            super().record(0.02 * frames, frames)  # a pass of 20 ms a frame, whatever it took

    def run(names: list[str]) -> list[float]:
        """The level after each frame."""
        for name in names:
            write_video(tmp_path / name, 12)
        governor, levels = Told(find_operating_curve(tuned()), 20), []
        with open_sources([str(tmp_path / name) for name in names]) as sources:
            pipeline.run(
                sources,
                toy(),
                [[] for _ in names],
                rho=governor,
                on_frame=lambda *_: levels.append(governor.level),
            )
        return [*levels, governor.level]

    one, two = run(["a.mp4"]), run(["a.mp4", "b.mp4"])
    assert len(one) == 13 and len(two) == 25
    assert one[6] > two[12] > 0
    assert two[-1] > two[12]  # once one of them has ended, the other has its time


def test_statistics_before_the_first_frame() -> None:
    stats = pipeline.Stats()
    assert (stats.fps, stats.shares, stats.percentile(50)) == (0, None, 0)


def test_statistics_of_long_runs_are_bounded() -> None:
    """Memory is bounded, and percentiles are of the latest frames."""
    stats = pipeline.Stats()
    result = toy()(np.zeros((48, 64, 3), np.uint8))
    for milliseconds in (900.0, 5.0):
        taken = replace(result, timing={"total": milliseconds})
        for _ in range(10_000):
            stats.add(taken)
    assert stats.frames == 20_000 and len(stats.latency) == 10_000
    assert stats.percentile(95) == 5
