"""Blocks that PIDNet and DDRNet share. They have no region form.

Batch norm is that of `lc_trt.model.layers`, with its epsilon (1e-3; the authors' is 1e-5).
"""

from __future__ import annotations

from torch import Tensor, nn
from torch.nn import functional
from typing_extensions import override

from lc_trt.model.layers import BatchNorm, Chain, Conv, Residual

POOLS = ((5, 2), (9, 4), (17, 8))  # (kernel, stride) of the average pools; the fourth is global


class NormReluConv(nn.Module):
    """Batch norm and ReLU before a convolution without bias (pre-activation).

    Args:
        cin: input channels.
        cout: output channels.
        kernel: height and width, odd.
        groups: of the convolution.
    """

    def __init__(self, cin: int, cout: int, kernel: int = 1, *, groups: int = 1) -> None:
        super().__init__()
        self.bn = BatchNorm(cin)
        self.conv = nn.Conv2d(cin, cout, kernel, padding=kernel // 2, groups=groups, bias=False)
        nn.init.kaiming_normal_(self.conv.weight, mode="fan_in", nonlinearity="relu")

    @override
    def forward(self, x: Tensor) -> Tensor:
        y: Tensor = self.conv(functional.relu(self.bn(x)))
        return y


class SegmentationHead(nn.Module):
    """Pre-activation 3x3 convolution, batch norm, ReLU, 1x1 classifier.

    Args:
        cin: input channels.
        hidden: channels between the two convolutions.
        classes: output channels.
    """

    def __init__(self, cin: int, hidden: int, classes: int) -> None:
        super().__init__()
        self.conv = NormReluConv(cin, hidden, 3)
        self.bn = BatchNorm(hidden)
        self.classifier = Conv(hidden, classes, norm=False, relu=False)

    @override
    def forward(self, x: Tensor) -> Tensor:
        y: Tensor = self.classifier(functional.relu(self.bn(self.conv(x))))
        return y


def stem(channels: int) -> nn.Sequential:
    """Create two 3x3 convolutions of stride 2.

    Args:
        channels: output channels of each.
    """
    return nn.Sequential(Conv(3, channels, 3, stride=2), Conv(channels, channels, 3, stride=2))


def basic_block(cin: int, cout: int, *, stride: int = 1, relu: bool = True) -> Residual:
    """Create a residual block of two 3x3 convolutions.

    Args:
        cin: input channels.
        cout: output channels.
        stride: of the first convolution.
        relu: whether a ReLU follows the sum.
    """
    return Residual(
        Conv(cin, cout, 3, stride=stride),
        Conv(cout, cout, 3, relu=False),
        scale=1.0,
        relu=relu,
        shortcut=_projection(cin, cout, stride),
    )


def bottleneck(cin: int, hidden: int, *, stride: int = 1) -> Residual:
    """Create a residual block of 1x1, 3x3 and 1x1 to twice the channels, without a last ReLU.

    Args:
        cin: input channels.
        hidden: channels of the 3x3 convolution; the output has twice as many.
        stride: of the 3x3 convolution.
    """
    return Residual(
        Chain([Conv(cin, hidden), Conv(hidden, hidden, 3, stride=stride)]),
        Conv(hidden, 2 * hidden, relu=False),
        scale=1.0,
        relu=False,
        shortcut=_projection(cin, 2 * hidden, stride),
    )


def _projection(cin: int, cout: int, stride: int) -> Conv | None:
    if cin == cout and stride == 1:
        return None
    return Conv(cin, cout, stride=stride, relu=False)


def basic_stage(cin: int, cout: int, count: int, *, stride: int = 1) -> nn.Sequential:
    """Create consecutive basic blocks, the last one without a ReLU.

    Args:
        cin: input channels.
        cout: output channels.
        count: number of blocks, at least 2.
        stride: of the first block.
    """
    return nn.Sequential(
        basic_block(cin, cout, stride=stride),
        *(basic_block(cout, cout, relu=i + 2 < count) for i in range(count - 1)),
    )


def pooled_branches(cin: int, cout: int) -> nn.ModuleList:
    """Create the pooled branches of a pyramid: average pools of three sizes and a global one.

    As in the authors' networks, the average counts the padding.

    Args:
        cin: input channels.
        cout: output channels of each branch.
    """
    pools = [nn.AvgPool2d(kernel, stride, padding=kernel // 2) for kernel, stride in POOLS]
    return nn.ModuleList(
        nn.Sequential(pool, NormReluConv(cin, cout)) for pool in (*pools, nn.AdaptiveAvgPool2d(1))
    )


def resize_to(x: Tensor, reference: Tensor) -> Tensor:
    """Resize a map bilinearly, with half-pixel centers.

    Args:
        x: float [N, C, h, w].
        reference: float [N, D, H, W].

    Returns:
        float [N, C, H, W].
    """
    return functional.interpolate(x, reference.shape[2:], mode="bilinear", align_corners=False)
