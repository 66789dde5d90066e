"""Rows of the speed table: speed-ups over the dense network, ceilings and published values."""

from __future__ import annotations

from typing import Any

import numpy as np

from lc_trt.data.metrics import Shares
from lc_trt.data.published import POINTS, dense_fps
from lc_trt.ir.cost import StageMacs
from lc_trt.utils.timing import percentiles, ratio

GOALS = {1: 0.8, 8: 0.9}  # of the ceiling, by batch


def rows_of(
    times: dict[str, list[float]], left: dict[str, list[Shares]], batch: int, macs: StageMacs
) -> list[dict[str, Any]]:
    """Milliseconds per batch, images per second, speed-up over the fastest dense row and ceiling.

    Args:
        times: milliseconds per round, by row.
        left: exit shares per stage and batch of images, by row of the cascade.
        batch: images per pass.
        macs: multiply-accumulates per image.
    """
    median = {name: float(np.median(taken)) for name, taken in times.items()}
    fastest = min((n for n in times if n.startswith("dense (")), key=lambda n: median[n])
    rows = []
    for name, ms in sorted(median.items(), key=lambda item: item[1], reverse=True):
        row: dict[str, Any] = {
            "name": name, "ms": ms, "p95_ms": percentiles(times[name])["p95"],
            "images_per_second": 1e3 * batch / ms, "speedup": ratio(times[fastest], times[name]),
            "reference": fastest, "published_fps": published(name),
            "shares": None, "ceiling": None, "reached": None, "goal": None, "met": None,
        }  # fmt: skip
        if name in left:
            shares = np.mean(np.asarray(left[name]), 0)
            ceiling = macs.dense / macs.at(1.0 - float(shares[0]), float(shares[2]))
            reached = row["speedup"] / ceiling
            goal = GOALS.get(batch) if name in POINTS else None
            row |= {
                "shares": [float(s) for s in shares], "ceiling": ceiling, "reached": reached,
                "goal": goal, "met": None if goal is None else bool(reached >= goal),
            }  # fmt: skip
        rows.append(row)
    return rows


def published(name: str) -> float | None:
    """Frames per second in the paper; None if it has no such row.

    Args:
        name: name of our row.
    """
    if name in POINTS:
        return POINTS[name].fps
    return dense_fps("irnet" if name.startswith("dense (") else name)
