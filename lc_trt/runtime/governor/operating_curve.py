"""A path along a Pareto front that maps one level to two thresholds."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np

from lc_trt.bundle.pareto_front import Front, FrontPoint, Pair
from lc_trt.errors import UsageError


class OperatingCurve:
    """Maps a level to thresholds, from 0 (fast setting) to 1 (quality bound).

    It interpolates linearly between points of the front. Both thresholds are non-decreasing in the
    level, so the work increases with it for any content. The level is linear in the measured time:
    0.5 is halfway in time.

    Attributes:
        points: interpolated operating points, fastest first.
        least, most: milliseconds per image at levels 0 and 1.
    """

    def __init__(self, points: Sequence[FrontPoint]) -> None:
        """Create a curve.

        Args:
            points: at least two operating points, in ascending time.
        """
        times = np.array([p.ms for p in points])
        self.points = tuple(points)
        self.least, self.most = float(times[0]), float(times[-1])
        self._levels = (times - self.least) / (self.most - self.least)
        self._rho = np.array([p.rho for p in points])

    def rho(self, level: float) -> Pair:
        """Both thresholds at a level.

        Args:
            level: 0 to 1.
        """
        first, second = (float(np.interp(level, self._levels, r)) for r in self._rho.T)
        return first, second

    def ms(self, level: float) -> float:
        """Expected milliseconds per image at a level.

        Args:
            level: 0 to 1.
        """
        return self.least + level * (self.most - self.least)

    def level(self, ms: float) -> float:
        """The level for a time per image, clipped to 0 to 1.

        Args:
            ms: milliseconds per image.
        """
        return min(max((ms - self.least) / (self.most - self.least), 0.0), 1.0)


def find_operating_curve(front: Front, quality: Pair | None = None) -> OperatingCurve:
    """Find the curve along a front from its fast setting to a quality bound.

    It ends at the best point within the bound. Of all paths with non-decreasing thresholds, it
    has the highest mean quality over time.

    Args:
        front: Pareto front of a tuned bundle.
        quality: upper bound of both thresholds; by default, the highest measured ones.

    Raises:
        UsageError: the bound is not between the fast setting and the highest measured thresholds,
            or fewer than two points lie between them.
    """
    bound, fast = quality or front.top, front.points[0].rho
    if not _below(bound, front.top):
        raise UsageError(
            f"quality bound {_text(bound)}: tuned only up to {_text(front.top)}; "
            f"tune further: lc-trt tune MODEL.lct --images DIR --rho {_text(bound)}"
        )
    inside = [p for p in front.points if _below(p.rho, bound) and _below(fast, p.rho)]
    if len(inside) < 2:
        raise UsageError(
            f"quality bound {_text(bound)}: no operating points between it and the fast thresholds "
            f"{_text(fast)}; expected a bound above them, or a finer grid: "
            "lc-trt tune MODEL.lct --images DIR --grid N"
        )
    return OperatingCurve(_best_path(inside))


def _best_path(points: Sequence[FrontPoint]) -> list[FrontPoint]:
    """The path from the first point to the last with the largest area under quality over time.

    Quality is a step function of time: interpolation is not measured, and with linear segments the
    path could skip points at no cost.
    """
    areas: list[float] = [0.0]
    before: list[int] = [0]
    for j, point in enumerate(points[1:], start=1):
        area, i = max(
            (areas[i] + (point.ms - p.ms) * p.quality, i)
            for i, p in enumerate(points[:j])
            if _below(p.rho, point.rho)  # true of the first point
        )
        areas.append(area)
        before.append(i)
    path = [len(points) - 1]
    while path[-1]:
        path.append(before[path[-1]])
    return [points[i] for i in reversed(path)]


def _below(a: Pair, b: Pair) -> bool:
    return a[0] <= b[0] and a[1] <= b[1]


def _text(rho: Pair) -> str:
    return f"{rho[0]:g},{rho[1]:g}"
