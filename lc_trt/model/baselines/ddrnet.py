"""DDRNet-23-slim (Y. Hong, H. Pan, W. Sun, Y. Jia, "Deep Dual-resolution Networks for Real-time and
Accurate Semantic Segmentation of Road Scenes", 2021; T-ITS 2022).

Two branches, at stride 8 and down to stride 64, that exchange features after two stages.
"""

from __future__ import annotations

import torch
from torch import Tensor, nn
from torch.nn import functional
from typing_extensions import override

from lc_trt.model.baselines.blocks import (
    NormReluConv,
    SegmentationHead,
    basic_stage,
    bottleneck,
    pooled_branches,
    resize_to,
    stem,
)
from lc_trt.model.baselines.peer import PeerNetwork
from lc_trt.model.layers import Conv

WIDTH = 32  # channels at stride 4
PYRAMID_WIDTH = 128
HEAD_WIDTH = 64


class HierarchicalPyramid(nn.Module):
    """DAPPM: pooled branches, each added to the result of the next finer one before its 3x3.

    Args:
        cin: input channels.
        width: channels of each branch.
        cout: output channels.
    """

    def __init__(self, cin: int, width: int, cout: int) -> None:
        super().__init__()
        self.unpooled = NormReluConv(cin, width)
        self.pooled = pooled_branches(cin, width)
        self.process = nn.ModuleList(NormReluConv(width, width, 3) for _ in self.pooled)
        self.compress = NormReluConv((len(self.pooled) + 1) * width, cout)
        self.shortcut = NormReluConv(cin, cout)

    @override
    def forward(self, x: Tensor) -> Tensor:
        features = [self.unpooled(x)]
        for branch, process in zip(self.pooled, self.process, strict=True):
            features.append(process(resize_to(branch(x), x) + features[-1]))
        y: Tensor = self.compress(torch.cat(features, 1)) + self.shortcut(x)
        return y


class DDRNet(PeerNetwork):
    """DDRNet-23.

    Args:
        classes: number of classes.
        width: channels at stride 4.
    """

    def __init__(self, classes: int, width: int = WIDTH) -> None:
        super().__init__(classes)
        w = width
        self.stem = stem(w)
        self.stage1 = basic_stage(w, w, 2)
        self.stage2 = basic_stage(w, 2 * w, 2, stride=2)
        self.low3 = basic_stage(2 * w, 4 * w, 2, stride=2)
        self.low4 = basic_stage(4 * w, 8 * w, 2, stride=2)
        self.low5 = bottleneck(8 * w, 8 * w, stride=2)
        self.pyramid = HierarchicalPyramid(16 * w, PYRAMID_WIDTH, 4 * w)
        self.high3 = basic_stage(2 * w, 2 * w, 2)
        self.high4 = basic_stage(2 * w, 2 * w, 2)
        self.high5 = bottleneck(2 * w, 2 * w)
        self.to_high3 = Conv(4 * w, 2 * w, relu=False)
        self.to_high4 = Conv(8 * w, 2 * w, relu=False)
        self.to_low3 = Conv(2 * w, 4 * w, 3, stride=2, relu=False)
        self.to_low4 = nn.Sequential(
            Conv(2 * w, 4 * w, 3, stride=2), Conv(4 * w, 8 * w, 3, stride=2, relu=False)
        )
        self.head = SegmentationHead(4 * w, HEAD_WIDTH, classes)
        self.auxiliary = nn.ModuleDict(
            {"segmentation": SegmentationHead(2 * w, HEAD_WIDTH, classes)}
        )

    @override
    def branches(self, x: Tensor) -> tuple[Tensor, dict[str, Tensor]]:
        relu = functional.relu
        x = self.stage1(self.stem(x))
        x = relu(self.stage2(relu(x)))
        low, high = self.low3(x), self.high3(x)
        first_high = high + resize_to(self.to_high3(relu(low)), high)
        low = low + self.to_low3(relu(high))
        low, high = self.low4(relu(low)), self.high4(relu(first_high))
        fused = high + resize_to(self.to_high4(relu(low)), high)
        low = low + self.to_low4(relu(high))
        high = self.high5(relu(fused))
        low = resize_to(self.pyramid(self.low5(relu(low))), high)
        return self.head(low + high), {"segmentation": first_high}


def ddrnet_23_slim(classes: int) -> DDRNet:
    """Create DDRNet-23-slim, 5.7 M parameters without its auxiliary head.

    Args:
        classes: number of output classes.
    """
    return DDRNet(classes)
