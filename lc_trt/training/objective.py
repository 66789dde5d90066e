"""The training objective of a phase."""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass

import torch
from torch import Tensor

from lc_trt.model.baselines.peer import PeerNetwork
from lc_trt.model.cascade import OUTPUT_STRIDE, CascadeOutput, StagedNetwork
from lc_trt.model.network import TrainableNetwork
from lc_trt.model.region import CompactRegion, Region
from lc_trt.training.config import STAGES, Phase
from lc_trt.training.losses import (
    cascade_losses,
    cross_entropy,
    deep_losses,
    distillation_loss,
    resize_for_loss,
)
from lc_trt.training.peer_losses import peer_losses, weighted_sum


@dataclass(frozen=True)
class TeacherTarget:
    """A teacher's output for a batch.

    Attributes:
        probabilities: float [N, K, h, w].
        weight: of the distillation loss; the label loss has weight 1.
    """

    probabilities: Tensor
    weight: float


@dataclass(frozen=True)
class Objective:
    """The loss of a batch.

    Attributes:
        total: scalar to minimize.
        stage_losses: one unweighted loss per stage; 0 for stages that the phase does not train. Of
            a peer, one per term of its loss.
        shares: share of pixels that exited at each stage; None without early exit.
        names: of the losses.
    """

    total: Tensor
    stage_losses: list[Tensor]
    shares: list[float] | None
    names: tuple[str, ...] = STAGES


def objective(
    model: TrainableNetwork,
    x: Tensor,
    label: Tensor,
    phase: Phase,
    class_weight: Tensor | None,
    region: type[Region] = CompactRegion,
    teacher: TeacherTarget | None = None,
) -> Objective:
    """Compute the loss of a batch.

    Args:
        model: the network in training.
        x: normalised images, float [N, 3, H, W].
        label: class index per pixel, uint8 [N, H, W]; 255 is ignored.
        phase: selects the loss and its weights.
        class_weight: float [K], one weight per class; None for equal weights.
        region: implementation of region operators.
        teacher: a teacher's output for the batch, or None.

    Returns:
        The loss, with its graph.
    """
    if isinstance(model, PeerNetwork):
        terms = peer_losses(model.supervised(x), label, class_weight)
        return Objective(weighted_sum(terms), list(terms.values()), None, tuple(terms))
    if phase.loss == "cascade":
        return _cascade(model, x, label, phase, class_weight, region, teacher)
    if phase.loss == "deep":
        logits = model.deep(x)
        losses = deep_losses(logits, label, class_weight, model.strides)
        losses = _with_teacher(losses, logits, teacher)
    else:
        logits = model.deep(x)[-1:]
        losses = deep_losses(logits, label, class_weight, model.strides[-1:])
        (last,) = _with_teacher(losses, logits, teacher)
        losses = [torch.zeros_like(last), torch.zeros_like(last), last]
    return Objective(_weighted(phase.stage_weights, losses), losses, None)


def _cascade(
    model: StagedNetwork,
    x: Tensor,
    label: Tensor,
    phase: Phase,
    class_weight: Tensor | None,
    region: type[Region],
    teacher: TeacherTarget | None,
) -> Objective:
    truth = _at_feature_size(label) if phase.exit.by == "truth" else None
    output: CascadeOutput = model(x, phase.exit.rho, region, truth)
    reached = [None, *(reached_region.hard for reached_region in output.regions)]
    losses = cascade_losses(output, label, class_weight, model.strides)
    losses = _with_teacher(losses, output.logits, teacher, reached)
    total = _weighted(phase.stage_weights, losses)
    if phase.final_on_all:
        count = math.ceil(len(x) * phase.final_on_all_part)
        dense = model.final([m[:count] for m in output.maps])
        resized = resize_for_loss(dense, label[:count], model.strides[-1])
        final = cross_entropy(*resized, class_weight)
        (final,) = _with_teacher([final], [dense], teacher)
        total = total + phase.final_on_all * final
    shares = [float((output.stages == s).float().mean()) for s in (1, 2, 3)]
    return Objective(total, losses, shares)


def _with_teacher(
    losses: list[Tensor],
    logits: list[Tensor],
    teacher: TeacherTarget | None,
    reached: Sequence[Tensor | None] = (None, None, None),
) -> list[Tensor]:
    """Add to each stage's loss the distillation loss on the pixels that reached the stage."""
    if teacher is None:
        return losses
    return [
        loss
        + teacher.weight * distillation_loss(scores, teacher.probabilities[: len(scores)], mask)
        for loss, scores, mask in zip(losses, logits, reached, strict=False)
    ]


def _at_feature_size(label: Tensor) -> Tensor:
    """Label at the center of each feature-map pixel, int64 [N, 1, h, w]."""
    size = [-(-side // OUTPUT_STRIDE) for side in label.shape[1:]]
    y, x = (
        (torch.arange(n, device=label.device) * OUTPUT_STRIDE + OUTPUT_STRIDE // 2).clamp(max=s - 1)
        for n, s in zip(size, label.shape[1:], strict=True)
    )
    return label[:, y][:, :, x].long()[:, None]


def _weighted(weights: tuple[float, ...], losses: list[Tensor]) -> Tensor:
    return torch.stack([w * loss for w, loss in zip(weights, losses, strict=True)]).sum()
