"""Segmentation metrics from a confusion matrix."""

from __future__ import annotations

import math

import numpy as np
import numpy.typing as npt

from lc_trt.data.classes import IGNORE


class Confusion:
    """Pixels counted by (true class, predicted class); label 255 is left out."""

    def __init__(self, classes: int) -> None:
        self.counts = np.zeros((classes, classes), np.int64)

    def add(self, predicted: npt.NDArray[np.uint8], label: npt.NDArray[np.uint8]) -> None:
        """Add one image; both uint8 [H, W]. A predicted class that does not exist is an error."""
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
        """Intersection over union a class; NaN for a class in neither labels nor predictions."""
        both = np.diag(self.counts).astype(np.float64)
        union = self.counts.sum(0) + self.counts.sum(1) - both
        iou = np.full(len(both), np.nan)
        np.divide(both, union, out=iou, where=union > 0)
        return iou

    def miou(self) -> float:
        """Mean IoU over the classes that occur, 0 to 1; NaN where none does."""
        iou = self.iou()
        present = iou[~np.isnan(iou)]
        return float(present.mean()) if present.size else math.nan

    def pixel_accuracy(self) -> float:
        """Share of labelled pixels that are right; NaN where there is none."""
        total = int(self.counts.sum())
        return float(np.trace(self.counts)) / total if total else math.nan
