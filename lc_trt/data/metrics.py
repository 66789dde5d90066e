"""Segmentation metrics from a confusion matrix, and the shares of pixels per stage."""

from __future__ import annotations

import math
from collections.abc import Callable, Iterable, Sequence
from typing import TypeAlias

import numpy as np
import numpy.typing as npt

from lc_trt.data.classes import IGNORE
from lc_trt.data.datasets.base import Sample

Labels: TypeAlias = npt.NDArray[np.uint8]
Shares: TypeAlias = tuple[float, float, float]
"""Shares of pixels that leave at stages 1, 2 and 3, each 0 to 1."""


class Confusion:
    """Confusion matrix over pixels; label 255 is ignored.

    Args:
        classes: number of classes.

    Attributes:
        counts: int64 [classes, classes], pixels by true and predicted class.
    """

    def __init__(self, classes: int) -> None:
        self.counts = np.zeros((classes, classes), np.int64)

    def add(self, predicted: Labels, label: Labels) -> None:
        """Add an image.

        Args:
            predicted: class index per pixel, uint8 [H, W].
            label: true class index per pixel, uint8 [H, W]; 255 is ignored.

        Raises:
            ValueError: the sizes differ, or a predicted class does not exist.
        """
        if predicted.shape != label.shape:
            raise ValueError(f"prediction {predicted.shape} and label {label.shape} differ in size")
        k = len(self.counts)
        valid = label != IGNORE
        if predicted[valid].size and int(predicted[valid].max()) >= k:
            raise ValueError(
                f"predicted class {int(predicted[valid].max())}, expected 0 to {k - 1}"
            )
        pairs = label[valid].astype(np.int64) * k + predicted[valid]
        self.counts += np.bincount(pairs, minlength=k * k).reshape(k, k)

    def iou(self) -> npt.NDArray[np.float64]:
        """IoU per class, float64 [classes]; NaN for classes in neither labels nor predictions."""
        intersection = np.diag(self.counts).astype(np.float64)
        union = self.counts.sum(0) + self.counts.sum(1) - intersection
        iou = np.full(len(union), np.nan)
        np.divide(intersection, union, out=iou, where=union > 0)
        return iou

    def miou(self) -> float:
        """Mean IoU over the classes that occur, 0 to 1; NaN if none occurs."""
        iou = self.iou()
        present = iou[~np.isnan(iou)]
        return float(present.mean()) if present.size else math.nan

    def pixel_accuracy(self) -> float:
        """Share of labelled pixels predicted correctly, 0 to 1; NaN if there are none."""
        total = int(self.counts.sum())
        return float(np.trace(self.counts)) / total if total else math.nan


def evaluate_samples(
    predict: Callable[[Sample], Labels], samples: Iterable[Sample], classes: int
) -> Confusion:
    """Compare predictions with labels, sample by sample.

    Args:
        predict: returns class indices, uint8 [H, W], of a sample at its label's size.
        samples: labelled images.
        classes: how many there are.
    """
    confusion = Confusion(classes)
    for sample in samples:
        confusion.add(predict(sample), sample.label)
    return confusion


def stage_shares(stages: npt.NDArray[np.uint8]) -> Shares:
    """The exit shares of a stage map.

    Args:
        stages: uint8 of any shape, values 1, 2 and 3.
    """
    first, second, third = np.bincount(stages.reshape(-1), minlength=4)[1:4] / stages.size
    return float(first), float(second), float(third)


def mean_shares(shares: Sequence[Shares]) -> Shares:
    """The mean of exit shares.

    Args:
        shares: of images or passes, at least one.
    """
    first, second, third = np.mean(np.asarray(shares, np.float64), axis=0)
    return float(first), float(second), float(third)
