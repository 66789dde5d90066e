"""Losses of the two phases (X. Li et al., CVPR 2017): deep supervision, cascade fine-tuning."""

from __future__ import annotations

import torch
from torch import Tensor
from torch.nn import functional

from lc_trt.data.classes import IGNORE
from lc_trt.model.cascade import OUTPUT_STRIDE, CascadeOutput

LOSS_STRIDE = 2  # losses are taken on every second pixel of a row and a column


def cross_entropy(
    logits: Tensor, label: Tensor, weight: Tensor | None, counts: Tensor | None = None
) -> Tensor:
    """Mean weighted cross-entropy of [N, K, H, W] logits against [N, H, W] labels.

    Args:
        counts: bool [N, H, W]; pixels that count. No pixel at all gives 0, not NaN.
    """
    target = label.long()
    if counts is not None:
        target = torch.where(counts, target, IGNORE)
    total = functional.cross_entropy(
        logits.float(), target, weight, ignore_index=IGNORE, reduction="sum"
    )
    valid = target != IGNORE
    of_class = logits.new_ones(logits.shape[1]) if weight is None else weight
    mass = (of_class[torch.where(valid, target, 0)] * valid).sum()
    return total / mass.clamp(min=1)


def at_loss_size(logits: Tensor, label: Tensor) -> tuple[Tensor, Tensor]:
    """Logits upsampled bilinearly to half the label's size, and every second label.

    Half size costs a quarter of the memory traffic, which on a CPU is a fifth of the step.
    """
    target = label[:, ::LOSS_STRIDE, ::LOSS_STRIDE]
    size = (target.shape[1], target.shape[2])
    factor = OUTPUT_STRIDE // LOSS_STRIDE
    y = functional.interpolate(logits.float(), scale_factor=factor, mode="bilinear")
    return y[:, :, : size[0], : size[1]], target


def deep_losses(logits: list[Tensor], label: Tensor, weight: Tensor | None) -> list[Tensor]:
    """Cross-entropy of every stage on all pixels."""
    return [cross_entropy(*at_loss_size(one, label), weight) for one in logits]


def distillation_loss(logits: Tensor, taught: Tensor, counts: Tensor | None = None) -> Tensor:
    """Mean cross-entropy of [N, K, h, w] logits against a teacher's probabilities.

    G. Hinton, O. Vinyals, J. Dean, 2015, at temperature 1. It has the gradient of the divergence
    from the teacher.

    Args:
        taught: [N, K, H, W] of any size; read bilinearly where the logits are.
        counts: bool [N, 1, h, w]; pixels that count. No pixel at all gives 0, not NaN.
    """
    target = functional.interpolate(taught, logits.shape[2:], mode="bilinear")
    loss = -(target * logits.float().log_softmax(1)).sum(1, keepdim=True)
    if counts is None:
        return loss.mean()
    return (loss * counts).sum() / counts.sum().clamp(min=1)


def at_temperature(probabilities: Tensor, temperature: float) -> Tensor:
    """Softmax at a temperature, out of the softmax at 1, [N, K, h, w].

    Below 1 the largest grows. A student of unsure probabilities becomes unsure itself, also where
    it is right, and a cascade's pixels then leave late.
    """
    if temperature == 1:
        return probabilities
    # Of the largest first: the power of a small probability may be nothing at all.
    powers = (probabilities / probabilities.amax(1, keepdim=True)) ** (1 / temperature)
    return powers / powers.sum(1, keepdim=True)


def cascade_losses(output: CascadeOutput, label: Tensor, weight: Tensor | None) -> list[Tensor]:
    """Stage 1 on all pixels; stages 2 and 3 on the pixels that reached them."""
    losses = [cross_entropy(*at_loss_size(output.logits[0], label), weight)]
    for region, logits in zip(output.regions, output.logits[1:], strict=True):
        upsampled, target = at_loss_size(logits, label)
        reached = region.hard.repeat_interleave(OUTPUT_STRIDE // LOSS_STRIDE, 2)
        reached = reached.repeat_interleave(OUTPUT_STRIDE // LOSS_STRIDE, 3)
        counts = reached[:, 0, : target.shape[1], : target.shape[2]]
        losses.append(cross_entropy(upsampled, target, weight, counts))
    return losses
