"""The moving average of the weights, which is what a run keeps."""

from __future__ import annotations

from collections.abc import Sequence

import torch
from torch import Tensor, nn
from torch.optim.swa_utils import AveragedModel


def averaged(model: nn.Module, decay: float) -> AveragedModel:
    """A copy that ``update_parameters`` moves towards the model, batch norm's statistics too.

    The decay starts low and rises to ``decay`` with the number of updates n, as
    ``(1 + n) / (10 + n)`` (TensorFlow's ExponentialMovingAverage), so that a short run does not
    keep its first weights; 0 keeps the newest weights.
    """

    @torch.no_grad()
    def move(averages: Sequence[Tensor], values: Sequence[Tensor], count: Tensor | int) -> None:
        n = float(count)
        part = 1.0 - min(decay, (1.0 + n) / (10.0 + n))
        torch._foreach_lerp_(tuple(averages), tuple(values), part)

    return AveragedModel(model, multi_avg_fn=move, use_buffers=True)
