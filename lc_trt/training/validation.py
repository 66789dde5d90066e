"""Validation of a network during training, at the native size of the images."""

from __future__ import annotations

from collections.abc import Callable, Iterable
from dataclasses import dataclass

import numpy as np
import numpy.typing as npt
import torch
from torch import Tensor

from lc_trt.data.datasets import Sample
from lc_trt.data.metrics import Shares, evaluate_samples, mean_shares, stage_shares
from lc_trt.model.cascade import Cascade
from lc_trt.training.batches import Image


@dataclass(frozen=True)
class Validation:
    """Metrics of a validation.

    Attributes:
        miou: mean IoU, 0 to 1.
        pixel_accuracy: 0 to 1.
        shares: share of pixels that exited at each stage.
    """

    miou: float
    pixel_accuracy: float
    shares: Shares


def validate(
    model: Cascade, samples: Iterable[Sample], prepare: Callable[[Image], Tensor], rho: float
) -> Validation:
    """Measure a cascade's accuracy.

    Args:
        model: the cascade; switched to evaluation mode.
        samples: labelled images of any size.
        prepare: converts BGR images, uint8 [N, H, W, 3], to the network's input.
        rho: exit threshold of both boundaries; 1 disables early exit.

    Returns:
        Metrics over all samples.
    """
    shares: list[Shares] = []

    def predict(sample: Sample) -> npt.NDArray[np.uint8]:
        output = model(prepare(sample.image[None]), (rho, rho))
        height, width = sample.label.shape
        labels = model.upsample(output.probabilities, (height, width)).argmax(1)[0]
        shares.append(stage_shares(output.stages.cpu().numpy().astype(np.uint8)))
        return np.asarray(labels.cpu().numpy(), np.uint8)

    model.eval()
    with torch.inference_mode():
        confusion = evaluate_samples(predict, samples, model.classes)
    return Validation(confusion.miou(), confusion.pixel_accuracy(), mean_shares(shares))
