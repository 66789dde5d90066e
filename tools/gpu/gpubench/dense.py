"""Dense networks for a fair race: batch norm folded, channels last, fused epilogues where asked."""

from __future__ import annotations

import copy

import torch
from torch import Tensor, nn
from torch.nn import functional
from typing_extensions import override

from gpubench.plan import fold
from lc_trt.model import layers

FORMS = ("fused", "plain")


class FoldedConv(nn.Module):
    """A convolution with its batch norm and a scale inside.

    ``fused`` asks cuDNN for convolution, bias, sum and ReLU in one kernel; ``plain`` runs torch's
    own operators.
    """

    def __init__(self, conv: layers.Conv, form: str, scale: float = 1.0) -> None:
        super().__init__()
        if form not in FORMS:
            raise ValueError(f"form {form!r}: expected one of {', '.join(FORMS)}")
        weight, bias = fold(conv, scale)
        self.weight = nn.Parameter(weight, requires_grad=False)
        self.bias = nn.Parameter(bias, requires_grad=False)
        self.relu, self.fused = conv.relu, form == "fused"
        self.stride, self.padding = conv.conv.stride, conv.conv.padding
        self.dilation = conv.conv.dilation

    @override
    def forward(self, x: Tensor, region: None = None) -> Tensor:
        place = (self.stride, self.padding, self.dilation)
        if self.fused and self.relu:
            return torch.cudnn_convolution_relu(x, self.weight, self.bias, *place, 1)
        y = functional.conv2d(x, self.weight, self.bias, *place)
        return y.relu_() if self.relu else y

    def add_relu(self, x: Tensor, other: Tensor) -> Tensor:
        """``relu(other + conv(x))``."""
        if self.fused:
            return torch.cudnn_convolution_add_relu(
                x, self.weight, other, 1.0, self.bias, self.stride, self.padding, self.dilation, 1
            )
        return self(x).add_(other).relu_()


class FoldedResidual(nn.Module):
    """`layers.Residual` of folded convolutions."""

    def __init__(self, block: layers.Residual, form: str) -> None:
        super().__init__()
        self.branches = folded(block.branches, form)
        self.project = FoldedConv(block.project, form, block.scale)
        self.shortcut = None if block.shortcut is None else FoldedConv(block.shortcut, form)
        self.relu = block.relu

    @override
    def forward(self, x: Tensor, region: None = None) -> Tensor:
        y = self.branches(x)
        if self.shortcut is not None:
            x = self.shortcut(x)
        return self.project.add_relu(y, x) if self.relu else self.project(y).add_(x)


def folded(module: nn.Module, form: str) -> nn.Module:
    """The same network with folded convolutions; the original stays as it is."""
    if isinstance(module, layers.Conv):
        return FoldedConv(module, form)
    if isinstance(module, layers.Residual):
        return FoldedResidual(module, form)
    clone = copy.copy(module)
    clone._modules = {
        name: None if child is None else folded(child, form)
        for name, child in module._modules.items()
    }
    return clone


def ready(module: nn.Module, form: str, dtype: torch.dtype, device: torch.device) -> nn.Module:
    """A network for inference: folded, of this type, channels last, on the device."""
    made = folded(module.eval(), form).to(device=device, dtype=dtype).eval()
    return made.to(memory_format=torch.channels_last)  # type: ignore[call-overload,no-any-return]
