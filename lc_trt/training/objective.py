"""What a phase minimises, by its kind of loss."""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass

import torch
from torch import Tensor

from lc_trt.model.cascade import OUTPUT_STRIDE, Cascade
from lc_trt.model.region import CompactRegion, Region
from lc_trt.training.config import Phase
from lc_trt.training.losses import (
    at_loss_size,
    cascade_losses,
    cross_entropy,
    deep_losses,
    distillation_loss,
)


@dataclass(frozen=True)
class Taught:
    """What a teacher says of a batch.

    Attributes:
        probabilities: float [N, K, h, w].
        weight: of the distance from them beside the labels' loss.
    """

    probabilities: Tensor
    weight: float


@dataclass(frozen=True)
class Objective:
    """One batch's loss.

    Attributes:
        total: what is minimised.
        parts: loss a stage, unweighted, 0 where the phase does not ask for it.
        shares: of the pixels that left at each stage; None where none can leave.
    """

    total: Tensor
    parts: list[Tensor]
    shares: list[float] | None


def objective(
    model: Cascade,
    x: Tensor,
    label: Tensor,
    phase: Phase,
    class_weight: Tensor | None,
    region: type[Region] = CompactRegion,
    taught: Taught | None = None,
) -> Objective:
    """The loss of normalised images, float [N, 3, H, W], and labels, uint8 [N, H, W]."""
    if phase.loss == "cascade":
        return _cascade(model, x, label, phase, class_weight, region, taught)
    if phase.loss == "deep":
        logits = model.deep(x)
        parts = _with_teacher(deep_losses(logits, label, class_weight), logits, taught)
    else:
        logits = [model.final(model.stages[0](x))]
        (last,) = _with_teacher(deep_losses(logits, label, class_weight), logits, taught)
        parts = [torch.zeros_like(last), torch.zeros_like(last), last]
    return Objective(_weighted(phase.stage_weights, parts), parts, None)


def _cascade(
    model: Cascade,
    x: Tensor,
    label: Tensor,
    phase: Phase,
    class_weight: Tensor | None,
    region: type[Region],
    taught: Taught | None,
) -> Objective:
    truth = _at_feature_size(label) if phase.exit.by == "truth" else None
    output = model(x, phase.exit.rho, region, truth)
    reached = [None, *(here.hard for here in output.regions)]
    parts = cascade_losses(output, label, class_weight)
    parts = _with_teacher(parts, output.logits, taught, reached)
    total = _weighted(phase.stage_weights, parts)
    if phase.final_on_all:
        some = math.ceil(len(x) * phase.final_on_all_part)
        dense = model.final(output.features[:some])
        final = cross_entropy(*at_loss_size(dense, label[:some]), class_weight)
        (final,) = _with_teacher([final], [dense], taught)
        total = total + phase.final_on_all * final
    shares = [float((output.stages == s).float().mean()) for s in (1, 2, 3)]
    return Objective(total, parts, shares)


def _with_teacher(
    parts: list[Tensor],
    logits: list[Tensor],
    taught: Taught | None,
    reached: Sequence[Tensor | None] = (None, None, None),
) -> list[Tensor]:
    """Each stage's loss and, of the pixels that reached it, its distance from the teacher."""
    if taught is None:
        return parts
    return [
        part + taught.weight * distillation_loss(one, taught.probabilities[: len(one)], here)
        for part, one, here in zip(parts, logits, reached, strict=False)
    ]


def _at_feature_size(label: Tensor) -> Tensor:
    """int64 [N, 1, h, w]: the label in the middle of each of the feature map's pixels."""
    size = [-(-side // OUTPUT_STRIDE) for side in label.shape[1:]]
    y, x = (
        (torch.arange(n, device=label.device) * OUTPUT_STRIDE + OUTPUT_STRIDE // 2).clamp(max=s - 1)
        for n, s in zip(size, label.shape[1:], strict=True)
    )
    return label[:, y][:, :, x].long()[:, None]


def _weighted(weights: tuple[float, ...], parts: list[Tensor]) -> Tensor:
    return torch.stack([w * p for w, p in zip(weights, parts, strict=True)]).sum()
