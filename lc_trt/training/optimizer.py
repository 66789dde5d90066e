"""The optimizer of a phase."""

from __future__ import annotations

import torch

from lc_trt.model.cascade import Cascade
from lc_trt.training.config import Optimizer


def new_optimizer(model: Cascade, config: Optimizer) -> torch.optim.Optimizer:
    """Create an optimizer with empty state.

    Args:
        model: its trunk and heads become two parameter groups.
        config: the ``optimizer`` section of a phase.

    Returns:
        The optimizer; the ``factor`` of each group scales the learning rate.
    """
    groups = [
        {"params": list(model.stages.parameters()), "factor": 1.0},
        {"params": list(model.heads.parameters()), "factor": config.head_rate},
    ]
    if config.name == "sgd":
        return torch.optim.SGD(
            groups, config.rate, config.momentum, weight_decay=config.weight_decay
        )
    return torch.optim.AdamW(groups, config.rate, weight_decay=config.weight_decay)
