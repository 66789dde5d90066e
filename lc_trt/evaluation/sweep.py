"""Measures accuracy and time at many thresholds, interleaved."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from time import perf_counter
from typing import Any

import numpy as np

from lc_trt.data import published
from lc_trt.data.metrics import Confusion
from lc_trt.evaluation.data import Samples
from lc_trt.evaluation.evaluate import SegmenterLike, mean_shares
from lc_trt.evaluation.stages import Shares

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
    clock: Callable[[], float] = perf_counter,
    advance: Callable[[int], None] = lambda passes: None,
) -> list[Point]:
    """Run every image at every pair of thresholds.

    Each image runs at all pairs before the next one, in an order that rotates by one per image, so
    that a temporary slowdown affects all pairs and no pair always follows the same other one. An
    untimed pass over the first image comes first.

    Args:
        segmenter: the cascade.
        samples: labelled images; at least one has a labelled pixel.
        rhos: the threshold pairs.
        clock: returns seconds.
        advance: called with 1 after each pass.

    Returns:
        One point per pair, in the order of ``rhos``.
    """
    confusions = [Confusion(samples.classes) for _ in rhos]
    times: list[list[float]] = [[] for _ in rhos]
    engine: list[list[float]] = [[] for _ in rhos]
    shares: list[list[Shares]] = [[] for _ in rhos]
    for rho in rhos:
        segmenter(samples[0].image, rho)
        advance(1)
    for i, sample in enumerate(samples):
        for k in range(len(rhos)):
            turn = (i + k) % len(rhos)
            start = clock()
            result = segmenter(sample.image, rhos[turn])
            times[turn].append((clock() - start) * 1e3)
            engine[turn].append(result.timing["engine"])
            confusions[turn].add(result.labels, sample.label)
            assert result.shares is not None  # dense networks are rejected before
            shares[turn].append(result.shares)
            advance(1)
    return [
        Point(
            rho,
            mean_shares(shares[k]),
            confusions[k].miou(),
            confusions[k].pixel_accuracy(),
            float(np.median(times[k])),
            float(np.median(engine[k])),
        )
        for k, rho in enumerate(rhos)
    ]


def front(points: Sequence[Point]) -> list[Point]:
    """Select the Pareto front of time and mIoU, fastest first.

    Args:
        points: of a sweep.
    """
    selected: list[Point] = []
    for point in sorted(points, key=lambda p: (p.ms_per_image, -p.miou)):
        if not selected or point.miou > selected[-1].miou:
            selected.append(point)
    return selected
