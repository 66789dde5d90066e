"""PIDNet-S (J. Xu, Z. Xiong, S. Bhattacharyya, "PIDNet: A Real-time Semantic Segmentation Network
Inspired by PID Controllers", CVPR 2023).

Three branches: P keeps detail at stride 8, I gathers context down to stride 64, D finds the
boundaries of classes, which decide where P outweighs I in the result.
"""

from __future__ import annotations

import torch
from torch import Tensor, nn
from torch.nn import functional
from typing_extensions import override

from lc_trt.model.baselines.blocks import (
    NormReluConv,
    SegmentationHead,
    basic_block,
    basic_stage,
    bottleneck,
    pooled_branches,
    resize_to,
    stem,
)
from lc_trt.model.baselines.peer import PeerNetwork
from lc_trt.model.layers import Conv

WIDTH = 32  # channels at stride 4
PYRAMID_WIDTH = 96
HEAD_WIDTH = 128


class PixelAttention(nn.Module):
    """Pag: mixes context into detail where their embeddings agree.

    Args:
        channels: of both inputs.
        embedding: channels of the embeddings.
    """

    def __init__(self, channels: int, embedding: int) -> None:
        super().__init__()
        self.detail = Conv(channels, embedding, relu=False)
        self.context = Conv(channels, embedding, relu=False)

    @override
    def forward(self, detail: Tensor, context: Tensor) -> Tensor:
        """Return the mixture, float [N, C, h, w].

        Args:
            detail: float [N, C, h, w].
            context: float [N, C, h', w'], a smaller map.
        """
        product = self.detail(detail) * resize_to(self.context(context), detail)
        share: Tensor = product.sum(1, keepdim=True).sigmoid()
        return share * resize_to(context, detail) + (1 - share) * detail


class ParallelPyramid(nn.Module):
    """PAPPM: pooled branches in parallel, each added to the unpooled one, and a grouped 3x3.

    Args:
        cin: input channels.
        width: channels of each branch.
        cout: output channels.
    """

    def __init__(self, cin: int, width: int, cout: int) -> None:
        super().__init__()
        self.unpooled = NormReluConv(cin, width)
        self.pooled = pooled_branches(cin, width)
        count = len(self.pooled)
        self.process = NormReluConv(count * width, count * width, 3, groups=count)
        self.compress = NormReluConv((count + 1) * width, cout)
        self.shortcut = NormReluConv(cin, cout)

    @override
    def forward(self, x: Tensor) -> Tensor:
        unpooled = self.unpooled(x)
        pooled = [resize_to(branch(x), x) + unpooled for branch in self.pooled]
        features = torch.cat([unpooled, self.process(torch.cat(pooled, 1))], 1)
        y: Tensor = self.compress(features) + self.shortcut(x)
        return y


class BoundaryFusion(nn.Module):
    """Light-Bag: takes detail near boundaries and context elsewhere.

    Args:
        channels: of inputs and output.
    """

    def __init__(self, channels: int) -> None:
        super().__init__()
        self.detail = Conv(channels, channels, relu=False)
        self.context = Conv(channels, channels, relu=False)

    @override
    def forward(self, detail: Tensor, context: Tensor, boundary: Tensor) -> Tensor:
        share = boundary.sigmoid()
        y: Tensor = self.detail((1 - share) * context + detail)
        y = y + self.context(context + share * detail)
        return y


class PIDNet(PeerNetwork):
    """PIDNet of depth 2 and 3, as the small and the medium one have it.

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
        self.context3 = basic_stage(2 * w, 4 * w, 3, stride=2)
        self.context4 = basic_stage(4 * w, 8 * w, 3, stride=2)
        self.context5 = nn.Sequential(bottleneck(8 * w, 8 * w, stride=2), bottleneck(16 * w, 8 * w))
        self.pyramid = ParallelPyramid(16 * w, PYRAMID_WIDTH, 4 * w)
        self.detail3 = basic_stage(2 * w, 2 * w, 2)
        self.detail4 = basic_stage(2 * w, 2 * w, 2)
        self.detail5 = bottleneck(2 * w, 2 * w)
        self.to_detail3 = Conv(4 * w, 2 * w, relu=False)
        self.to_detail4 = Conv(8 * w, 2 * w, relu=False)
        self.attention3 = PixelAttention(2 * w, w)
        self.attention4 = PixelAttention(2 * w, w)
        self.boundary3 = basic_block(2 * w, w, relu=False)
        self.boundary4 = bottleneck(w, w)
        self.boundary5 = bottleneck(2 * w, 2 * w)
        self.to_boundary3 = Conv(4 * w, w, 3, relu=False)
        self.to_boundary4 = Conv(8 * w, 2 * w, 3, relu=False)
        self.fusion = BoundaryFusion(4 * w)
        self.head = SegmentationHead(4 * w, HEAD_WIDTH, classes)
        self.auxiliary = nn.ModuleDict(
            {
                "segmentation": SegmentationHead(2 * w, HEAD_WIDTH, classes),
                "boundary": SegmentationHead(2 * w, w, 1),
            }
        )

    @override
    def branches(self, x: Tensor) -> tuple[Tensor, dict[str, Tensor]]:
        relu = functional.relu
        x = relu(self.stage1(self.stem(x)))
        x = relu(self.stage2(x))
        context = relu(self.context3(x))
        detail = first_detail = self.attention3(self.detail3(x), self.to_detail3(context))
        boundary = self.boundary3(x)
        boundary = boundary + resize_to(self.to_boundary3(context), boundary)
        context = relu(self.context4(context))
        detail = self.attention4(self.detail4(relu(detail)), self.to_detail4(context))
        boundary = self.boundary4(relu(boundary))
        boundary = last_boundary = boundary + resize_to(self.to_boundary4(context), boundary)
        detail = self.detail5(relu(detail))
        context = resize_to(self.pyramid(self.context5(context)), detail)
        fused = self.fusion(detail, context, self.boundary5(relu(boundary)))
        return self.head(fused), {"segmentation": first_detail, "boundary": last_boundary}


def pidnet_s(classes: int) -> PIDNet:
    """Create PIDNet-S, 7.6 M parameters without auxiliary heads.

    Args:
        classes: number of output classes.
    """
    return PIDNet(classes)
