"""The sweep, on an engine with known confidences and costs."""

from __future__ import annotations

from typing import Any

import numpy as np
import numpy.typing as npt
import pytest
from fake_engine import FakeClock, FakeEngine, random_levels
from recording_monitor import RecordingMonitor

from lc_trt.bundle.manifest import Manifest
from lc_trt.data.datasets import Sample
from lc_trt.data.metrics import Confusion
from lc_trt.evaluation.sweep import THRESHOLDS, Point, front, pairs, passes, sweep
from lc_trt.runtime.segmenter import Segmenter

SHAPE = (1, 16, 24)
CELLS = 6  # of an image: 2 x 3
COST = (1, 10, 20, 40)  # milliseconds: before the network, then each stage on all pixels


class StageEngine(FakeEngine):
    """Labels each pixel with its exit stage, from 0."""

    def _infer(self, feed: dict[str, npt.NDArray[Any]]) -> dict[str, Any]:
        out = super()._infer(feed)
        out["labels"] = (out["stages"] - 1).repeat(8, 1).repeat(8, 2)
        out["confidence"] = np.maximum(out["confidence"], 1 / 3)  # the least of three classes
        return out


class Fixed:
    """Three numbered images, each labelled with one class except for a void row."""

    classes = 3
    truth = (0, 1, 2)

    def __len__(self) -> int:
        return len(self.truth)

    def __getitem__(self, i: int) -> Sample:
        label = np.full(SHAPE[1:], self.truth[i], np.uint8)
        label[0] = 255
        return Sample(str(i), np.full((*SHAPE[1:], 3), i, np.uint8), label)

    def __iter__(self) -> Any:
        return (self[i] for i in range(len(self)))


@pytest.fixture
def clock(monkeypatch: pytest.MonkeyPatch) -> FakeClock:
    fake = FakeClock()
    monkeypatch.setattr("lc_trt.utils.timing.clock", fake)
    return fake


@pytest.fixture
def engine(clock: FakeClock) -> StageEngine:
    # A toy's confidences are no multiples of a threshold: no pixel lies on one.
    return StageEngine(random_levels(3), cost=COST, clock=clock)


def manifest() -> Manifest:
    return Manifest(
        "fake", "1", "cascade", "fake", "", ("a", "b", "c"), ((0, 0, 0),) * 3, SHAPE[1:],
        default_rho=(0.5, 0.5), fast_rho=(0.4, 0.4),
    )  # fmt: skip


RHOS = [(1.0, 1.0), (0.7, 0.7), (0.4, 0.2), (0.0, 0.0)]


def test_against_a_computation_by_hand(engine: StageEngine) -> None:
    monitor = RecordingMonitor()
    assert engine.levels is not None
    points = sweep(Segmenter(engine, manifest()), Fixed(), RHOS, monitor=monitor)
    assert [point.rho for point in points] == RHOS
    assert passes(3, RHOS) == len(engine.passes) == 16
    assert monitor.phases == {"sweeping": (16, 16)}
    for point in points:
        confusion, shares, times = Confusion(3), [], []
        for i, truth in enumerate(Fixed.truth):
            one, two, _ = engine.levels[i][:, 0]
            left = np.where(one > point.rho[0], 1, np.where(two > point.rho[1], 2, 3))
            count = [int((left == stage).sum()) for stage in (1, 2, 3)]
            shares.append(np.array(count) / CELLS)
            reached = (1.0, (count[1] + count[2]) / CELLS, count[2] / CELLS)
            times.append(COST[0] + sum(c * r for c, r in zip(COST[1:], reached, strict=True)))
            for y, x in np.ndindex(16, 24):
                if y > 0:  # the first row is void
                    confusion.counts[truth, left[y // 8, x // 8] - 1] += 1
        assert point.shares == pytest.approx(np.mean(shares, axis=0))
        assert point.ms_per_image == pytest.approx(np.median(times))
        assert point.miou == pytest.approx(confusion.miou())
        assert point.pixel_accuracy == pytest.approx(confusion.pixel_accuracy())


def test_thresholds_are_interleaved(engine: StageEngine) -> None:
    sweep(Segmenter(engine, manifest()), Fixed(), RHOS[:3])
    warm, *rounds = (engine.passes[i : i + 3] for i in range(0, 12, 3))
    assert [image for image, _ in warm] == [0, 0, 0]
    order = [[rho for _, rho in passes_of_image] for passes_of_image in rounds]
    assert [{image for image, _ in passes_of_image} for passes_of_image in rounds] == [
        {0},
        {1},
        {2},
    ]
    first = [tuple(np.float32(value) for value in rho) for rho in RHOS[:3]]
    assert order == [first, first[1:] + first[:1], first[2:] + first[:2]]


def test_the_first_pass_is_not_timed(engine: StageEngine, clock: FakeClock) -> None:
    class Slow(StageEngine):
        def _infer(self, feed: dict[str, npt.NDArray[Any]]) -> dict[str, Any]:
            if feed["rho"][0] not in [rho[0] for _, rho in self.passes if rho]:
                self.clock.now += 99
            return super()._infer(feed)

    slow = Slow(random_levels(3), cost=COST, clock=clock)
    for a, b in zip(
        sweep(Segmenter(engine, manifest()), Fixed(), RHOS),
        sweep(Segmenter(slow, manifest()), Fixed(), RHOS),
        strict=True,
    ):
        assert a.ms_per_image == pytest.approx(b.ms_per_image)


def test_the_thresholds_are_the_papers() -> None:
    assert THRESHOLDS == (1, 0.995, 0.985, 0.97, 0.95, 0.93, 0.9, 0.8)
    assert pairs(grid=False) == [(rho, rho) for rho in THRESHOLDS]
    both = pairs(grid=True)
    assert len(set(both)) == 64
    assert set(pairs(grid=False)) <= set(both)


def test_the_front_has_no_dominated_point() -> None:
    def point(ms: float, miou: float) -> Point:
        return Point((ms, miou), (1, 0, 0), miou, 0, ms, ms)

    a, b, c, d, e = point(10, 0.5), point(20, 0.4), point(30, 0.7), point(30, 0.6), point(40, 0.7)
    assert front([e, d, c, b, a]) == [a, c]
