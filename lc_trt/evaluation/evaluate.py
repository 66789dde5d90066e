"""Accuracy of a segmenter on labelled images, at the labels' full resolution."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Sequence
from dataclasses import dataclass
from time import perf_counter
from typing import Any, Protocol

import numpy as np
import numpy.typing as npt

from lc_trt.errors import LcTrtError
from lc_trt.metrics import Confusion
from lc_trt.runtime.result import Result
from lc_trt.thresholds import Rho
from lc_trt.training.data import Sample


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
    """

    images: int
    classes: tuple[str, ...]
    iou: tuple[float, ...]
    miou: float
    pixel_accuracy: float
    shares: tuple[float, float, float] | None
    ms_per_image: float

    def as_dict(self) -> dict[str, Any]:
        """JSON values; a class that never occurs has null."""
        return {
            "images": self.images,
            "miou": round(self.miou, 5),
            "pixel_accuracy": round(self.pixel_accuracy, 5),
            "iou": {
                name: None if np.isnan(value) else round(value, 5)
                for name, value in zip(self.classes, self.iou, strict=True)
            },
            "shares": None if self.shares is None else [round(s, 4) for s in self.shares],
            "ms_per_image": round(self.ms_per_image, 3),
        }


def evaluate(
    segmenter: Segments,
    samples: Iterable[Sample],
    classes: Sequence[str],
    rho: Rho | None = None,
    *,
    advance: Callable[[int], None] = lambda images: None,
) -> Evaluation:
    """Compare labels image by image; label 255 counts nowhere.

    Args:
        samples: photographs with label maps (`lc_trt.training.data.FolderDataset`).
        classes: names by label; the segmenter's.
        rho: thresholds, as `lc_trt.Segmenter` takes them.

    Raises:
        LcTrtError: no sample, or none with a labelled pixel.
    """
    confusion = Confusion(len(classes))
    shares: list[tuple[float, float, float]] = []
    times: list[float] = []
    for sample in samples:
        began = perf_counter()
        result = segmenter(sample.image, rho)
        times.append((perf_counter() - began) * 1e3)
        confusion.add(result.labels, sample.label)
        if result.shares is not None:
            shares.append(result.shares)
        advance(1)
    if not confusion.counts.sum():
        raise LcTrtError(f"no labelled pixel in {len(times)} images: there is nothing to compare")
    mean = np.mean(shares, axis=0) if shares else None
    return Evaluation(
        images=len(times),
        classes=tuple(classes),
        iou=tuple(float(value) for value in confusion.iou()),
        miou=confusion.miou(),
        pixel_accuracy=confusion.pixel_accuracy(),
        shares=None if mean is None else (float(mean[0]), float(mean[1]), float(mean[2])),
        ms_per_image=float(np.median(times)),
    )
