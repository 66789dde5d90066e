"""Candidates for the default thresholds: a path of threshold pairs from cheap to no early exit."""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass
from itertools import islice
from typing import TypeVar

import numpy as np
import numpy.typing as npt

from lc_trt.bundle.pareto_front import Front
from lc_trt.data.metrics import Shares
from lc_trt.evaluation.data import Samples
from lc_trt.evaluation.pareto_search import Rho, boundary_confidences, fit, fit_times, pareto
from lc_trt.evaluation.sweep import sweep
from lc_trt.runtime.governor.operating_curve import find_operating_curve
from lc_trt.runtime.result import Result
from lc_trt.runtime.segmenter import Segmenter
from lc_trt.utils.progress import SILENT, ProgressMonitor

T = TypeVar("T")
NO_EXIT: Rho = (1.0, 1.0)
CANDIDATES = 13  # at most, besides NO_EXIT
_DIGITS = 6  # of a threshold; confidences crowd near 1
AROUND = (0.25, 2.0)  # their range of losses, relative to the loss aimed at


@dataclass(frozen=True)
class ExitPath:
    """Threshold pairs from the cheapest to `NO_EXIT`, both thresholds non-decreasing.

    Attributes:
        rhos: thresholds of boundaries 1|2 and 2|3.
        cost: milliseconds of stage 1, and of stages 2 and 3 if all pixels reach them.
        uneven: median relative residual of the times from which ``cost`` was fitted.
    """

    rhos: tuple[Rho, ...]
    cost: tuple[float, float, float]
    uneven: float

    def ms(self, shares: Shares) -> float:
        """Modelled milliseconds per image.

        Args:
            shares: of pixels that exit at stages 1, 2 and 3, 0 to 1.
        """
        first, second, third = self.cost
        return first + second * (shares[1] + shares[2]) + third * shares[2]


def grid_thresholds(confidences: npt.NDArray[np.float32], count: int) -> list[float]:
    """Thresholds of one boundary, ascending: 0, where all cells exit, to 1, where none does.

    Each threshold between passes on twice as many cells as the one below it, up to half of them:
    what is right for a network is a small share of the cells, whatever its confidences are.

    Args:
        confidences: float32 [cells], of the boundary.
        count: largest number of thresholds, at least 2.
    """
    shares = 0.5 ** np.arange(count - 2, 0, -1)
    inner = np.quantile(confidences, shares).round(_DIGITS).tolist() if len(confidences) else []
    return sorted({0.0, *inner, 1.0})


def find_path(
    segmenter: Segmenter,
    samples: Samples,
    measure: str,
    loss: float,
    grid: int,
    monitor: ProgressMonitor = SILENT,
) -> ExitPath:
    """Find the candidates: measure a grid, then place pairs on its operating curve.

    Args:
        segmenter: the cascade.
        samples: labelled images.
        measure: `lc_trt.evaluation.pareto_search.MIOU` or ``AGREEMENT``, whose loss against
            `NO_EXIT` is looked at.
        loss: expected at the thresholds that will be chosen, 0 to 1; candidates lie around it.
        grid: number of thresholds per boundary.
        monitor: shows progress.

    Raises:
        LcTrtError: no label map has a labelled pixel.
    """
    confidences = boundary_confidences(segmenter, samples, NO_EXIT[0], monitor)
    first_rhos, second_rhos = (grid_thresholds(each, grid) for each in confidences)
    pairs = [(one, two) for one in first_rhos for two in second_rhos]
    points = sweep(segmenter, samples, pairs, monitor=monitor)
    measured, uneven = fit_times(points, measure, segmenter.engine.smallest[0])
    first, second, third = fit([p.shares for p in measured], [p.measured_ms for p in measured])
    (reference,) = (p.quality for p in measured if p.rho == NO_EXIT)
    front = pareto(measured, pairs[0])
    rhos = [pairs[0]]
    if len(front) > 1:
        curve = find_operating_curve(Front(tuple(front), NO_EXIT, measure, len(samples), ""))
        losses = [reference - p.quality for p in curve.points]
        levels = [curve.level(p.ms) for p in curve.points]
        targets = loss * np.geomspace(*AROUND, CANDIDATES)
        # Losses fall along the curve; np.interp needs them ascending.
        chosen = np.interp(targets, losses[::-1], levels[::-1])
        rhos = [_rounded(curve.rho(float(level))) for level in sorted(chosen)]
    path = dict.fromkeys([*rhos, NO_EXIT])  # without repetitions, in order
    return ExitPath(tuple(path), (float(first), float(second), float(third)), uneven)


def run_path(
    segmenter: Segmenter,
    images: Iterable[tuple[T, npt.NDArray[np.uint8]]],
    rhos: Sequence[Rho],
) -> Iterator[tuple[T, list[Result]]]:
    """Run images at each pair of thresholds, in full batches.

    Args:
        segmenter: the cascade.
        images: a key, and a BGR image, uint8 [H, W, 3], each.
        rhos: thresholds.

    Yields:
        The key of an image and its results, one per pair.
    """
    remaining = iter(images)
    while group := list(islice(remaining, segmenter.engine.batch)):
        frames = [image for _, image in group]
        by_pair = [segmenter.batch(frames, rho) for rho in rhos]
        for (key, _), *results in zip(group, *by_pair, strict=True):
            yield key, results


def _rounded(rho: Rho) -> Rho:
    return round(rho[0], _DIGITS), round(rho[1], _DIGITS)
