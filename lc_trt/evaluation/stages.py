"""Exit shares per class, and the share of easy, moderate and hard pixels near boundaries."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
import numpy.typing as npt

from lc_trt.data.classes import IGNORE
from lc_trt.data.metrics import Shares
from lc_trt.evaluation.boundary import near_boundary


@dataclass(frozen=True)
class StageFigures:
    """Shares over all images, in pixels of the label maps.

    Attributes:
        by_class: for each ground-truth class, the shares (0 to 1) of its pixels that exited at
            stages 1, 2 and 3; None for a class without pixels.
        near_boundary: the share of pixels exiting at stage 1 (easy), 2 (moderate) and 3 (hard) that
            lie near a class boundary (`lc_trt.evaluation.boundary`); None for a stage without
            pixels.
    """

    by_class: tuple[Shares | None, ...]
    near_boundary: tuple[float | None, float | None, float | None]


class StageCounts:
    """Counts pixels by class and stage, and by stage and distance to a boundary.

    Args:
        classes: number of classes.
    """

    def __init__(self, classes: int) -> None:
        self.by_class = np.zeros((classes, 3), np.int64)
        self.near = np.zeros(3, np.int64)
        self.counted = np.zeros(3, np.int64)

    def add(self, label: npt.NDArray[np.uint8], stages: npt.NDArray[np.uint8]) -> None:
        """Add an image.

        Args:
            label: class index per pixel, uint8 [H, W]; 255 is ignored.
            stages: exit stage per pixel, uint8 [H, W], 1 to 3.
        """
        valid = label != IGNORE
        pairs = label[valid].astype(np.int64) * 3 + (stages[valid] - 1)
        self.by_class += np.bincount(pairs, minlength=self.by_class.size).reshape(-1, 3)
        near, counted = near_boundary(label)
        self.near += _by_stage(stages[near])
        self.counted += _by_stage(stages[counted])

    def figures(self) -> StageFigures:
        """Shares over the images added so far."""
        easy, moderate, hard = (
            float(near) / int(counted) if counted else None
            for near, counted in zip(self.near, self.counted, strict=True)
        )
        return StageFigures(tuple(_shares(row) for row in self.by_class), (easy, moderate, hard))


def _by_stage(stages: npt.NDArray[np.uint8]) -> npt.NDArray[np.int64]:
    return np.bincount(stages, minlength=4)[1:4]


def _shares(row: npt.NDArray[np.int64]) -> Shares | None:
    total = int(row.sum())
    if not total:
        return None
    one, two, three = (float(count) / total for count in row)
    return one, two, three
