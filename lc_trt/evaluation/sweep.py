"""Accuracy and time at many thresholds, measured in turns."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from time import perf_counter
from typing import Any

import numpy as np

from lc_trt.data import published
from lc_trt.data.metrics import Confusion
from lc_trt.evaluation.data import Samples
from lc_trt.evaluation.evaluate import Segments, mean_shares
from lc_trt.evaluation.stages import Shares

Pair = tuple[float, float]
THRESHOLDS = tuple(row.rho for row in published.RHO_TABLE)
ENOUGH = 20  # images, for a median time to be compared by


@dataclass(frozen=True)
class Point:
    """A cascade at one pair of thresholds.

    Attributes:
        shares: mean share of the pixels leaving at each stage, 0 to 1.
        miou, pixel_accuracy: 0 to 1.
        ms_per_image: median milliseconds, with resizing to the engine and back.
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
    """The published thresholds at both boundaries alike, or every one with every one."""
    if grid:
        return [(first, second) for first in THRESHOLDS for second in THRESHOLDS]
    return [(rho, rho) for rho in THRESHOLDS]


def passes(images: int, rhos: Sequence[Pair]) -> int:
    """How often `sweep` runs the network."""
    return (images + 1) * len(rhos)


def sweep(
    segmenter: Segments,
    samples: Samples,
    rhos: Sequence[Pair],
    *,
    clock: Callable[[], float] = perf_counter,
    advance: Callable[[int], None] = lambda passes: None,
) -> list[Point]:
    """Run every image at every pair of thresholds.

    An image is run at all pairs before the next one is, in an order that moves on by one from
    image to image: what slows the machine for a while slows all pairs alike, and none always
    follows the same other one. The first image is run once more before, untimed.

    Args:
        samples: at least one image with a labelled pixel.
        clock: seconds.
        advance: called with 1 after each pass.

    Returns:
        One point a pair, in their order.
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
            began = clock()
            result = segmenter(sample.image, rhos[turn])
            times[turn].append((clock() - began) * 1e3)
            engine[turn].append(result.timing["engine"])
            confusions[turn].add(result.labels, sample.label)
            assert result.shares is not None  # a dense network takes no thresholds
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
    """The points worth choosing, fastest first: none other is as fast and more accurate."""
    found: list[Point] = []
    for point in sorted(points, key=lambda p: (p.ms_per_image, -p.miou)):
        if not found or point.miou > found[-1].miou:
            found.append(point)
    return found
