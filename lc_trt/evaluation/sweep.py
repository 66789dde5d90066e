"""Measures accuracy and time at many thresholds, interleaved."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np

from lc_trt.bundle.pareto_front import pareto_front
from lc_trt.data import published
from lc_trt.data.datasets import Sample
from lc_trt.data.metrics import Confusion, Shares, mean_shares
from lc_trt.evaluation.data import Samples
from lc_trt.evaluation.evaluate import SegmenterLike
from lc_trt.runtime.result import Result
from lc_trt.utils.progress import SILENT, ProgressMonitor
from lc_trt.utils.timing import Lane, take_turns

Pair = tuple[float, float]
THRESHOLDS = tuple(row.rho for row in published.RHO_TABLE)
ENOUGH = 20  # images for a meaningful median time


@dataclass(frozen=True)
class Point:
    """Metrics of a cascade at a pair of thresholds.

    Attributes:
        rho: the thresholds, one per boundary.
        shares: mean share of pixels that exit at each stage, 0 to 1.
        miou: mean IoU, 0 to 1.
        pixel_accuracy: 0 to 1.
        ms_per_image: median milliseconds, including resizing to the engine and back.
        engine_ms: median milliseconds of the engine alone.
    """

    rho: Pair
    shares: Shares
    miou: float
    pixel_accuracy: float
    ms_per_image: float
    engine_ms: float

    def as_dict(self) -> dict[str, Any]:
        """JSON values."""
        return {
            "rho": list(self.rho),
            "shares": [round(share, 4) for share in self.shares],
            "miou": round(self.miou, 5),
            "pixel_accuracy": round(self.pixel_accuracy, 5),
            "ms_per_image": round(self.ms_per_image, 3),
        }


def pairs(grid: bool) -> list[Pair]:
    """List pairs of the published thresholds.

    Args:
        grid: all pairs, instead of the same threshold at both boundaries.
    """
    if grid:
        return [(first, second) for first in THRESHOLDS for second in THRESHOLDS]
    return [(rho, rho) for rho in THRESHOLDS]


def passes(images: int, rhos: Sequence[Pair]) -> int:
    """Count the passes of `sweep`.

    Args:
        images: number of images.
        rhos: the threshold pairs.
    """
    return (images + 1) * len(rhos)


def sweep(
    segmenter: SegmenterLike,
    samples: Samples,
    rhos: Sequence[Pair],
    *,
    monitor: ProgressMonitor = SILENT,
) -> list[Point]:
    """Run every image at every pair of thresholds.

    Each image runs at all pairs before the next one, in an order that rotates by one per image, so
    that a temporary slowdown affects all pairs and no pair always follows the same other one. An
    untimed pass over the first image comes first.

    Args:
        segmenter: the cascade.
        samples: labelled images; at least one has a labelled pixel.
        rhos: the threshold pairs.
        monitor: shows progress.

    Returns:
        One point per pair, in the order of ``rhos``.
    """
    lanes = [_Lane(segmenter, rho, samples.classes) for rho in rhos]
    with monitor.phase("sweeping", passes(len(samples), rhos)) as advance:
        for number in range(-1, len(samples)):
            sample = samples[max(number, 0)]  # read before any lane is timed
            for lane in lanes:
                lane.sample = sample
            for _ in take_turns([lanes], number, counts=number >= 0):
                advance(1)
    return [lane.point() for lane in lanes]


class _Lane(Lane[Result]):
    """A pair of thresholds, timed and scored."""

    sample: Sample

    def __init__(self, segmenter: SegmenterLike, rho: Pair, classes: int) -> None:
        super().__init__(
            f"{rho[0]:g},{rho[1]:g}",
            lambda number: segmenter(self.sample.image, rho),
            collect=self._collect,
        )
        self._rho, self._confusion = rho, Confusion(classes)
        self._engine: list[float] = []
        self._shares: list[Shares] = []

    def _collect(self, result: Result) -> None:
        assert result.shares is not None  # a dense network takes no thresholds
        self._confusion.add(result.labels, self.sample.label)
        self._engine.append(result.timing["engine"])
        self._shares.append(result.shares)

    def point(self) -> Point:
        return Point(
            self._rho,
            mean_shares(self._shares),
            self._confusion.miou(),
            self._confusion.pixel_accuracy(),
            float(np.median(self.times)),
            float(np.median(self._engine)),
        )


def front(points: Sequence[Point]) -> list[Point]:
    """Select the Pareto front of time and mIoU, fastest first.

    Args:
        points: of a sweep.
    """
    return pareto_front(points, lambda p: p.ms_per_image, lambda p: p.miou)
