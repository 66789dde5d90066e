"""Validation of a network during training, at the native size of the images."""

from __future__ import annotations

from collections.abc import Callable, Iterable
from dataclasses import dataclass
from typing import Any

import numpy as np
import numpy.typing as npt
import torch
from torch import Tensor

from lc_trt.data.datasets import Sample
from lc_trt.data.metrics import Confusion, Shares, evaluate_samples, mean_shares, stage_shares
from lc_trt.model.baselines.peer import PeerNetwork
from lc_trt.model.cascade import OUTPUT_STRIDE
from lc_trt.model.layers import Upsample
from lc_trt.model.network import TrainableNetwork
from lc_trt.training.batches import Image


@dataclass(frozen=True)
class Validation:
    """Metrics of a validation.

    Attributes:
        miou: mean IoU, 0 to 1.
        pixel_accuracy: 0 to 1.
        shares: share of pixels that exited at each stage; None for a network without stages.
        stage_miou: mean IoU of each stage on all pixels, 0 to 1; empty without stages.
    """

    miou: float
    pixel_accuracy: float
    shares: Shares | None
    stage_miou: tuple[float, ...]

    def as_metadata(self) -> dict[str, Any]:
        """The fields of a checkpoint's metadata that say how good its weights are."""
        return {
            "val_miou": self.miou,
            "val_shares": None if self.shares is None else list(self.shares),
            "val_stage_miou": list(self.stage_miou),
        }


def validate(
    model: TrainableNetwork,
    samples: Iterable[Sample],
    prepare: Callable[[Image], Tensor],
    rho: float,
) -> Validation:
    """Measure a network's accuracy.

    Args:
        model: the network; switched to evaluation mode.
        samples: labelled images of any size.
        prepare: converts BGR images, uint8 [N, H, W, 3], to the network's input.
        rho: exit threshold of both boundaries; 1 disables early exit.

    Returns:
        Metrics over all samples.
    """
    shares: list[Shares] = []
    strides = () if isinstance(model, PeerNetwork) else model.strides
    stages = [Confusion(model.classes) for _ in strides]

    def predict(sample: Sample) -> npt.NDArray[np.uint8]:
        x = prepare(sample.image[None])
        if isinstance(model, PeerNetwork):
            return labels(model(x).float().softmax(1), OUTPUT_STRIDE, sample)
        logits = model.deep(x)
        for confusion, stage_logits, stride in zip(stages, logits, model.strides, strict=True):
            confusion.add(labels(stage_logits.float().softmax(1), stride, sample), sample.label)
        probabilities, exits = model.exits(x, logits, (rho, rho))
        shares.append(stage_shares(exits.cpu().numpy().astype(np.uint8)))
        return labels(probabilities, model.strides[-1], sample)

    def labels(probabilities: Tensor, stride: int, sample: Sample) -> npt.NDArray[np.uint8]:
        height, width = sample.label.shape
        upsampled = Upsample(stride)(probabilities, (height, width))
        return np.asarray(upsampled.argmax(1)[0].cpu().numpy(), np.uint8)

    model.eval()
    with torch.inference_mode():
        merged = evaluate_samples(predict, samples, model.classes)
    return Validation(
        merged.miou(),
        merged.pixel_accuracy(),
        mean_shares(shares) if shares else None,
        tuple(confusion.miou() for confusion in stages),
    )
