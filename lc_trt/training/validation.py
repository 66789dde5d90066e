"""Accuracy of a network that is being trained, on the validation split at its own size."""

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
    """Mean IoU and pixel accuracy (0 to 1), and the shares that left at stages 1, 2, 3."""

    miou: float
    pixel_accuracy: float
    shares: tuple[float, float, float]


def validate(
    model: Cascade, samples: Iterable[Sample], prepare: Callable[[Image], Tensor], rho: float
) -> Validation:
    """Run the cascade at ``rho`` over samples of any sizes; 1 lets no pixel leave.

    Args:
        prepare: uint8 [N, H, W, 3] BGR to the network's input.
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
