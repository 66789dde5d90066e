"""Measures the accuracy of a segmenter on labelled images, at the labels' full resolution."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from typing import Any, Protocol

import numpy as np
import numpy.typing as npt

from lc_trt.bundle.thresholds import Rho
from lc_trt.data.datasets import Sample
from lc_trt.data.metrics import Shares, evaluate_samples, mean_shares
from lc_trt.errors import LcTrtError
from lc_trt.evaluation.stages import StageCounts, StageFigures
from lc_trt.runtime.result import Result
from lc_trt.utils.timing import timed


class SegmenterLike(Protocol):
    """`lc_trt.Segmenter`, or any callable with its signature."""

    def __call__(self, frame: npt.NDArray[np.uint8], rho: Rho | None = None) -> Result:
        """Segment a BGR frame, uint8 [H, W, 3]."""


@dataclass(frozen=True)
class Evaluation:
    """Accuracy over a set of images.

    Attributes:
        images: number of images.
        classes: class names.
        iou: IoU per class, 0 to 1; NaN for a class that does not occur.
        miou: mean IoU over the classes that occur.
        pixel_accuracy: share of labelled pixels predicted correctly, 0 to 1.
        shares: mean share of pixels that exit at each stage; None for a dense network.
        ms_per_image: median milliseconds per image, including resizing to the engine and back.
        stages: exit shares per class and difficulty at boundaries; None for a dense network.
    """

    images: int
    classes: tuple[str, ...]
    iou: tuple[float, ...]
    miou: float
    pixel_accuracy: float
    shares: Shares | None
    ms_per_image: float
    stages: StageFigures | None

    def as_dict(self) -> dict[str, Any]:
        """JSON values; null for a class that does not occur."""
        values: dict[str, Any] = {
            "images": self.images,
            "miou": round(self.miou, 5),
            "pixel_accuracy": round(self.pixel_accuracy, 5),
            "iou": {
                name: None if np.isnan(value) else round(value, 5)
                for name, value in zip(self.classes, self.iou, strict=True)
            },
            "shares": _rounded(self.shares),
            "ms_per_image": round(self.ms_per_image, 3),
            "left_by_class": None,
            "near_boundary": None,
        }
        if self.stages is not None:
            values["left_by_class"] = {
                name: _rounded(shares)
                for name, shares in zip(self.classes, self.stages.by_class, strict=True)
            }
            values["near_boundary"] = _rounded(self.stages.near_boundary)
        return values


def evaluate(
    segmenter: SegmenterLike,
    samples: Iterable[Sample],
    classes: Sequence[str],
    rho: Rho | None = None,
) -> Evaluation:
    """Measure the accuracy over labelled images; label 255 is ignored.

    Args:
        segmenter: the model.
        samples: labelled images.
        classes: class names of the segmenter.
        rho: thresholds, as of `lc_trt.Segmenter`.

    Returns:
        Metrics over all images.

    Raises:
        LcTrtError: no sample has a labelled pixel.
    """
    counts = StageCounts(len(classes))
    shares: list[Shares] = []
    times: list[float] = []

    def predict(sample: Sample) -> npt.NDArray[np.uint8]:
        result, taken = timed(lambda: segmenter(sample.image, rho))
        times.append(taken)
        if result.shares is not None and result.stages is not None:
            shares.append(result.shares)
            counts.add(sample.label, result.stages)
        return result.labels

    confusion = evaluate_samples(predict, samples, len(classes))
    if not confusion.counts.sum():
        raise LcTrtError(
            f"no labelled pixel in {len(times)} images; expected labels other than 255"
        )
    return Evaluation(
        images=len(times),
        classes=tuple(classes),
        iou=tuple(float(value) for value in confusion.iou()),
        miou=confusion.miou(),
        pixel_accuracy=confusion.pixel_accuracy(),
        shares=mean_shares(shares) if shares else None,
        ms_per_image=float(np.median(times)),
        stages=counts.figures() if shares else None,
    )


def _rounded(values: Sequence[float | None] | None) -> list[float | None] | None:
    if values is None:
        return None
    return [None if value is None else round(value, 4) for value in values]
