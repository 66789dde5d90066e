"""The optimizer of a phase."""

from __future__ import annotations

import torch

from lc_trt.model.network import TrainableNetwork
from lc_trt.training.config import Optimizer


def new_optimizer(model: TrainableNetwork, config: Optimizer) -> torch.optim.Optimizer:
    """Create an optimizer with empty state.

    Args:
        model: its parameters become two groups, of which the second are `new_parameters`; those
            that are frozen are left out.
        config: the ``optimizer`` section of a phase.

    Returns:
        The optimizer; the ``factor`` of each group scales the learning rate.
    """
    new = [p for p in model.new_parameters() if p.requires_grad]
    identities = {id(p) for p in new}
    old = [p for p in model.parameters() if p.requires_grad and id(p) not in identities]
    groups = [
        {"params": old, "factor": 1.0},
        {"params": new, "factor": config.head_rate},
    ]
    if config.name == "sgd":
        return torch.optim.SGD(
            groups, config.rate, config.momentum, weight_decay=config.weight_decay
        )
    return torch.optim.AdamW(groups, config.rate, weight_decay=config.weight_decay)
