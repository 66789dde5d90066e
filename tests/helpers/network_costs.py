"""Parameters and operations of a torch network, counted on the meta device."""

from __future__ import annotations

from collections.abc import Callable

import torch
from torch import nn


def inference_parameters(model: nn.Module) -> int:
    """Number of trained values outside auxiliary heads (batch norm: two per channel)."""
    names = dict(model.named_parameters())
    return sum(p.numel() for name, p in names.items() if not name.startswith("auxiliary."))


def conv_macs(build: Callable[[], nn.Module], size: tuple[int, int]) -> int:
    """Multiply-accumulates of all convolutions for one image of (height, width) pixels."""
    macs = 0

    def count(module: nn.Module, inputs: object, output: torch.Tensor) -> None:
        nonlocal macs
        assert isinstance(module, nn.Conv2d)
        macs += output.numel() * module.weight[0].numel()

    with torch.device("meta"):
        model = build().eval()
    for module in model.modules():
        if isinstance(module, nn.Conv2d):
            module.register_forward_hook(count)
    model(torch.zeros(1, 3, *size, device="meta"))
    return macs
