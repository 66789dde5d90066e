"""Validation of a network during training, at the native size of the images."""

from __future__ import annotations

from collections.abc import Callable, Iterable
from dataclasses import dataclass

import numpy as np
import torch
from torch import Tensor

from lc_trt.data.datasets import Sample
from lc_trt.data.metrics import Confusion
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
    shares: tuple[float, float, float]


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
    model.eval()
    confusion, shares, images = Confusion(model.classes), np.zeros(3), 0
    with torch.inference_mode():
        for sample in samples:
            output = model(prepare(sample.image[None]), (rho, rho))
            size = (sample.label.shape[0], sample.label.shape[1])
            labels = model.upsample(output.probabilities, size).argmax(1)[0]
            confusion.add(labels.cpu().numpy().astype(np.uint8), sample.label)
            shares += [float((output.stages == s).float().mean()) for s in (1, 2, 3)]
            images += 1
    one, two, three = (float(share) / images for share in shares)
    return Validation(confusion.miou(), confusion.pixel_accuracy(), (one, two, three))
