"""Exponential moving average of the weights: the weights that a run saves."""

from __future__ import annotations

from collections.abc import Sequence

import torch
from torch import Tensor, nn
from torch.optim.swa_utils import AveragedModel


def moving_average(model: nn.Module, decay: float) -> AveragedModel:
    """Return a moving average of a model's weights and batch-norm statistics.

    The decay after n updates is ``min(decay, (1 + n) / (10 + n))``, as in TensorFlow's
    ExponentialMovingAverage, so that a short run is not dominated by its initial weights.

    Args:
        model: the model to average; it is copied.
        decay: final decay, 0 <= decay < 1; 0 tracks the newest weights.

    Returns:
        The average; call ``update_parameters(model)`` after each optimizer step.
    """

    @torch.no_grad()
    def update(averages: Sequence[Tensor], values: Sequence[Tensor], count: Tensor | int) -> None:
        if not averages[0].is_floating_point():  # counters of torch's own batch norm
            torch._foreach_copy_(tuple(averages), tuple(values))
            return
        n = float(count)
        step_size = 1.0 - min(decay, (1.0 + n) / (10.0 + n))
        torch._foreach_lerp_(tuple(averages), tuple(values), step_size)

    return AveragedModel(model, multi_avg_fn=update, use_buffers=True)
