"""Accuracy of a segmenter on labelled images, at the labels' full resolution."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Sequence
from dataclasses import dataclass
from time import perf_counter
from typing import Any, Protocol

import numpy as np
import numpy.typing as npt

from lc_trt.bundle.thresholds import Rho
from lc_trt.data.datasets import Sample
from lc_trt.data.metrics import Confusion
from lc_trt.errors import LcTrtError
from lc_trt.evaluation.stages import Shares, StageCounts, StageFigures
from lc_trt.runtime.result import Result


class Segments(Protocol):
    """What is evaluated: `lc_trt.Segmenter`, or anything called like it."""

    def __call__(self, frame: npt.NDArray[np.uint8], rho: Rho | None = None) -> Result:
        """Segment one BGR frame, uint8 [H, W, 3]."""


@dataclass(frozen=True)
class Evaluation:
    """Accuracy over a set of images.

    Attributes:
        classes: names by label.
        iou: intersection over union a class, 0 to 1; NaN for one that never occurs.
        miou: their mean over those that occur.
        pixel_accuracy: share of labelled pixels that are right.
        shares: mean share of pixels leaving at each stage; None for a dense network.
        ms_per_image: median milliseconds an image, with resizing to the engine and back.
        stages: where each class leaves, and how much of that is boundary; None if dense.
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
        """JSON values; a class that never occurs has null."""
        found: dict[str, Any] = {
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
            found["left_by_class"] = {
                name: _rounded(shares)
                for name, shares in zip(self.classes, self.stages.by_class, strict=True)
            }
            found["near_boundary"] = _rounded(self.stages.near_boundary)
        return found


def evaluate(
    segmenter: Segments,
    samples: Iterable[Sample],
    classes: Sequence[str],
    rho: Rho | None = None,
    *,
    clock: Callable[[], float] = perf_counter,
    advance: Callable[[int], None] = lambda images: None,
) -> Evaluation:
    """Compare labels image by image; label 255 counts nowhere.

    Args:
        samples: photographs with label maps (`lc_trt.data.datasets.open_dataset`).
        classes: names by label; the segmenter's.
        rho: thresholds, as `lc_trt.Segmenter` takes them.
        clock: seconds.
        advance: called with 1 after each image.

    Raises:
        LcTrtError: no sample, or none with a labelled pixel.
    """
    confusion, counts = Confusion(len(classes)), StageCounts(len(classes))
    shares: list[Shares] = []
    times: list[float] = []
    for sample in samples:
        began = clock()
        result = segmenter(sample.image, rho)
        times.append((clock() - began) * 1e3)
        confusion.add(result.labels, sample.label)
        if result.shares is not None and result.stages is not None:
            shares.append(result.shares)
            counts.add(sample.label, result.stages)
        advance(1)
    if not confusion.counts.sum():
        raise LcTrtError(f"no labelled pixel in {len(times)} images: there is nothing to compare")
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


def mean_shares(shares: Sequence[Shares]) -> Shares:
    """The mean over images."""
    one, two, three = np.mean(np.asarray(shares, np.float64), axis=0)
    return float(one), float(two), float(three)


def _rounded(values: Sequence[float | None] | None) -> list[float | None] | None:
    if values is None:
        return None
    return [None if value is None else round(value, 4) for value in values]
