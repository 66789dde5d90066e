"""Losses of deep supervision and cascade fine-tuning (X. Li et al., CVPR 2017)."""

from __future__ import annotations

from collections.abc import Sequence

import torch
from torch import Tensor
from torch.nn import functional

from lc_trt.data.classes import IGNORE
from lc_trt.model.cascade import OUTPUT_STRIDE, CascadeOutput

LOSS_STRIDE = 2  # pixels; losses are computed at half resolution


def cross_entropy(
    logits: Tensor, label: Tensor, weight: Tensor | None, mask: Tensor | None = None
) -> Tensor:
    """Class-weighted mean cross-entropy.

    Args:
        logits: float [N, K, H, W].
        label: class index per pixel, [N, H, W]; 255 is ignored.
        weight: float [K], one weight per class; None for equal weights.
        mask: bool [N, H, W]; pixels to include, None for all.

    Returns:
        Scalar; 0, not NaN, if no pixel is included.
    """
    target = label.long()
    if mask is not None:
        target = torch.where(mask, target, IGNORE)
    total = functional.cross_entropy(
        logits.float(), target, weight, ignore_index=IGNORE, reduction="sum"
    )
    valid = target != IGNORE
    class_weight = logits.new_ones(logits.shape[1]) if weight is None else weight
    weight_sum = (class_weight[torch.where(valid, target, 0)] * valid).sum()
    return total / weight_sum.clamp(min=1)


def resize_for_loss(
    logits: Tensor, label: Tensor, stride: int = OUTPUT_STRIDE
) -> tuple[Tensor, Tensor]:
    """Upsample logits bilinearly to half the label's size and subsample the label to match.

    Half size needs a quarter of the memory traffic of full size, which on a CPU is a fifth of a
    training step.

    Args:
        logits: float [N, K, ceil(H / stride), ceil(W / stride)].
        label: [N, H, W].
        stride: of the logits, in pixels.

    Returns:
        Logits [N, K, ceil(H/2), ceil(W/2)] and labels [N, ceil(H/2), ceil(W/2)].
    """
    target = label[:, ::LOSS_STRIDE, ::LOSS_STRIDE]
    size = (target.shape[1], target.shape[2])
    factor = stride // LOSS_STRIDE
    y = functional.interpolate(logits.float(), scale_factor=factor, mode="bilinear")
    return y[:, :, : size[0], : size[1]], target


def deep_losses(
    logits: Sequence[Tensor], label: Tensor, weight: Tensor | None, strides: Sequence[int]
) -> list[Tensor]:
    """Cross-entropy of every stage on all pixels.

    Args:
        logits: one float [N, K, h, w] per stage.
        label: class index per pixel, [N, H, W]; 255 is ignored.
        weight: float [K], one weight per class; None for equal weights.
        strides: of each stage's logits, in pixels.

    Returns:
        One scalar per stage.
    """
    return [
        cross_entropy(*resize_for_loss(stage_logits, label, stride), weight)
        for stage_logits, stride in zip(logits, strides, strict=True)
    ]


def distillation_loss(
    logits: Tensor, teacher_probabilities: Tensor, mask: Tensor | None = None
) -> Tensor:
    """Mean cross-entropy against a teacher's probabilities.

    Its gradient is that of the KL divergence from the teacher (G. Hinton, O. Vinyals, J. Dean,
    2015, at temperature 1).

    Args:
        logits: float [N, K, h, w].
        teacher_probabilities: float [N, K, H, W] of any size; resized bilinearly to the logits.
        mask: bool [N, 1, h, w]; pixels to include, None for all.

    Returns:
        Scalar; 0, not NaN, if no pixel is included.
    """
    target = functional.interpolate(teacher_probabilities, logits.shape[2:], mode="bilinear")
    loss = -(target * logits.float().log_softmax(1)).sum(1, keepdim=True)
    if mask is None:
        return loss.mean()
    return (loss * mask).sum() / mask.sum().clamp(min=1)


def apply_temperature(probabilities: Tensor, temperature: float) -> Tensor:
    """Convert a softmax at temperature 1 to one at another temperature.

    Below 1 the distribution gets sharper. A student of an unconfident teacher becomes unconfident
    even where it is right, and the pixels of a cascade then exit late.

    Args:
        probabilities: float [N, K, h, w].
        temperature: > 0.

    Returns:
        float [N, K, h, w].
    """
    if temperature == 1:
        return probabilities
    # Normalize by the largest first: powers of small probabilities may all underflow to 0.
    powers = (probabilities / probabilities.amax(1, keepdim=True)) ** (1 / temperature)
    return powers / powers.sum(1, keepdim=True)


def cascade_losses(
    output: CascadeOutput, label: Tensor, weight: Tensor | None, strides: Sequence[int]
) -> list[Tensor]:
    """Cross-entropy of stage 1 on all pixels and of stages 2 and 3 on the pixels that reach them.

    Args:
        output: of the cascade's forward pass.
        label: class index per pixel, [N, H, W]; 255 is ignored.
        weight: float [K], one weight per class; None for equal weights.
        strides: of each stage's logits, in pixels.

    Returns:
        One scalar per stage.
    """
    losses = [cross_entropy(*resize_for_loss(output.logits[0], label, strides[0]), weight)]
    later = zip(output.regions, output.logits[1:], strides[1:], strict=True)
    for region, logits, stride in later:
        upsampled, target = resize_for_loss(logits, label, stride)
        reached = region.hard.repeat_interleave(stride // LOSS_STRIDE, 2)
        reached = reached.repeat_interleave(stride // LOSS_STRIDE, 3)
        mask = reached[:, 0, : target.shape[1], : target.shape[2]]
        losses.append(cross_entropy(upsampled, target, weight, mask))
    return losses
