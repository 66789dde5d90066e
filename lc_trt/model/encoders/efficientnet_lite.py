"""EfficientNet-Lite 0 to 2: EfficientNet without squeeze-and-excitation and with ReLU6.

Architecture: M. Tan, Q. Le, "EfficientNet: Rethinking Model Scaling for Convolutional Neural
Networks", ICML 2019, and the Lite variants of 2020, whose stem and first and last groups are not
scaled. The trimmed variants leave out the last two blocks, which mostly serve the 1,000 classes of
ImageNet; A. Howard et al. narrow the same layers of MobileNetV3 for segmentation ("Searching for
MobileNetV3", ICCV 2019, section 6.4).
"""

from __future__ import annotations

import math
from dataclasses import dataclass

import torch
from torch import Tensor, nn
from typing_extensions import override

from lc_trt.model.encoders.base import EncoderInfo, SequentialEncoder
from lc_trt.model.layers import Chain, Conv

NORMALISATION = ((127.0,) * 3, (128.0,) * 3)
STEM = 32
CEILING = 6.0  # of the ReLU
DROP_CONNECT = 0.1  # of the last block; linear in the block's number


@dataclass(frozen=True)
class Group:
    """A group of inverted residual blocks of EfficientNet-B0.

    Attributes:
        blocks: their number.
        kernel: side of the depthwise convolution.
        stride: of the first block.
        expansion: factor on the channels inside a block.
        channels: output channels.
    """

    blocks: int
    kernel: int
    stride: int
    expansion: int
    channels: int


GROUPS = (
    Group(1, 3, 1, 1, 16),
    Group(2, 3, 2, 6, 24),
    Group(2, 5, 2, 6, 40),
    Group(3, 3, 2, 6, 80),
    Group(3, 5, 1, 6, 112),
    Group(4, 5, 2, 6, 192),
    Group(1, 3, 1, 6, 320),
)
# Factors on channels and blocks.
SCALES = {
    "tf_efficientnet_lite0": (1.0, 1.0),
    "tf_efficientnet_lite1": (1.0, 1.1),
    "tf_efficientnet_lite2": (1.1, 1.2),
}


TRIMMED = "_trimmed"  # ends the name of a trimmed variant
TRIMMED_BLOCKS = 2
LAYERS = 3  # convolutions per block with an expansion
NAMES = (*SCALES, *(name + TRIMMED for name in SCALES))


class InvertedResidual(nn.Module):
    """1x1 expansion, depthwise convolution, 1x1 projection; added to the input where shapes agree.

    Args:
        cin: input channels.
        cout: output channels.
        kernel: side of the depthwise convolution.
        stride: of the depthwise convolution.
        expansion: factor on ``cin`` inside the block; 1 omits the first convolution.
        drop: probability of skipping the block for an image in training (stochastic depth).
    """

    def __init__(
        self, cin: int, cout: int, kernel: int, stride: int, expansion: int, drop: float
    ) -> None:
        super().__init__()
        hidden = cin * expansion
        depthwise = Conv(
            hidden, hidden, kernel, stride=stride, groups=hidden, ceiling=CEILING, same_upper=True
        )
        expand = [Conv(cin, hidden, ceiling=CEILING)] if expansion != 1 else []
        self.branch = Chain([*expand, depthwise, Conv(hidden, cout, relu=False)])
        self.identity = stride == 1 and cin == cout
        self.drop = drop

    @override
    def forward(self, x: Tensor, region: None = None) -> Tensor:
        y: Tensor = self.branch(x)
        if not self.identity:
            return y
        if self.training and self.drop:
            keep = torch.rand(len(x), 1, 1, 1, device=x.device) >= self.drop
            y = y * (keep / (1 - self.drop)).to(y.dtype)
        return x + y


def efficientnet_lite(name: str) -> SequentialEncoder:
    """Create an EfficientNet-Lite without its classifier, with random weights.

    Args:
        name: one of `NAMES`.
    """
    base = name.removesuffix(TRIMMED)
    left_out = 0 if base == name else TRIMMED_BLOCKS
    width, depth = SCALES[base]
    ends = (0, len(GROUPS) - 1)
    counts = [
        group.blocks if i in ends else math.ceil(group.blocks * depth)
        for i, group in enumerate(GROUPS)
    ]
    total = sum(counts)
    number, cin = 0, STEM
    chains: list[list[nn.Module]] = [[Conv(3, STEM, 3, stride=2, ceiling=CEILING, same_upper=True)]]
    widths: list[int] = []  # at the end of each chain
    for group, count in zip(GROUPS, counts, strict=True):
        cout = round_channels(group.channels * width)
        if group.stride == 2:
            widths.append(cin)
            chains.append([])
        for i in range(min(count, total - left_out - number)):
            stride = group.stride if i == 0 else 1
            drop = DROP_CONNECT * number / total
            chains[-1].append(
                InvertedResidual(cin, cout, group.kernel, stride, group.expansion, drop)
            )
            cin, number = cout, number + 1
    _, c4, c8, c16 = widths
    info = EncoderInfo(name, *NORMALISATION, base, left_out * LAYERS)
    return SequentialEncoder(info, (c4, c8, c16, cin), map(Chain, chains))


def round_channels(channels: float) -> int:
    """Round to a multiple of 8, losing at most a tenth.

    Args:
        channels: scaled channel count.
    """
    rounded = max(8, int(channels + 4) // 8 * 8)
    return rounded + 8 if rounded < 0.9 * channels else rounded
