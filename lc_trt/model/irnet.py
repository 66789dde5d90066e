"""Trunks in three stages: IRNet, and Inception-ResNet-v2 at output stride 8.

Stages 2 and 3 use only operations that have a region form. Layers: X. Li et al., CVPR 2017 (IRNet,
5/10/5 blocks); C. Szegedy et al., 2016 (Inception-ResNet-v2, 10/20/10 blocks), with reductions at
stride 1 and dilated convolutions after them.
"""

from __future__ import annotations

from dataclasses import dataclass

from torch import nn

from lc_trt.model.layers import AveragePool, Chain, Concat, Conv, MaxPool, Residual


@dataclass(frozen=True)
class Trunk:
    """A trunk.

    Attributes:
        stages: the three stages.
        channels: output channels of each stage.
    """

    stages: tuple[Chain, Chain, Chain]
    channels: tuple[int, int, int]


def scaled(channels: int, width: float) -> int:
    """Scale a channel count.

    Args:
        channels: at width 1.
        width: factor.

    Returns:
        ``channels * width`` rounded to a multiple of 8, at least 8.
    """
    return channels if width == 1.0 else max(8, int(channels * width + 4) // 8 * 8)


def branches_a(cin: int, width: float) -> Concat:
    """Branches of a residual block of stage 1: 3x3 convolutions (both networks).

    Args:
        cin: input channels.
        width: channel factor.
    """
    c32, c48, c64 = (scaled(c, width) for c in (32, 48, 64))
    return Concat(
        [
            Conv(cin, c32),
            Chain([Conv(cin, c32), Conv(c32, c32, 3)]),
            Chain([Conv(cin, c32), Conv(c32, c48, 3), Conv(c48, c64, 3)]),
        ]
    )


def branches_b(cin: int, width: float) -> Concat:
    """Branches of a residual block of stage 2: 1x7 and 7x1 convolutions with dilation 2.

    Args:
        cin: input channels.
        width: channel factor.
    """
    c128, c160, c192 = (scaled(c, width) for c in (128, 160, 192))
    return Concat(
        [
            Conv(cin, c192),
            Chain(
                [
                    Conv(cin, c128),
                    Conv(c128, c160, (1, 7), dilation=2),
                    Conv(c160, c192, (7, 1), dilation=2),
                ]
            ),
        ]
    )


def branches_c(cin: int, width: float) -> Concat:
    """Branches of a residual block of stage 3: 1x3 and 3x1 convolutions with dilation 4.

    Args:
        cin: input channels.
        width: channel factor.
    """
    c192, c224, c256 = (scaled(c, width) for c in (192, 224, 256))
    return Concat(
        [
            Conv(cin, c192),
            Chain(
                [
                    Conv(cin, c192),
                    Conv(c192, c224, (1, 3), dilation=4),
                    Conv(c224, c256, (3, 1), dilation=4),
                ]
            ),
        ]
    )


def irnet_trunk(blocks: tuple[int, int, int], width: float) -> Trunk:
    """IRNet: stem, A blocks, Reduction-A; B blocks, Reduction-B; C blocks.

    Args:
        blocks: residual blocks per stage.
        width: channel factor.
    """

    def w(channels: int) -> int:
        return scaled(channels, width)

    residual_scale = 0.3
    stem_split = w(64) + w(96)
    stem_mixed = 2 * w(96)
    a = stem_mixed + w(192)
    stem = Chain(
        [
            Conv(3, w(32), 3, stride=2),
            Conv(w(32), w(32), 3),
            Conv(w(32), w(64), 3),
            Concat([MaxPool(stride=2), Conv(w(64), w(96), 3, stride=2)]),
            Concat(
                [
                    Chain([Conv(stem_split, w(64)), Conv(w(64), w(96), 3)]),
                    Chain(
                        [
                            Conv(stem_split, w(64)),
                            Conv(w(64), w(64), (7, 1)),
                            Conv(w(64), w(64), (1, 7)),
                            Conv(w(64), w(96), 3),
                        ]
                    ),
                ]
            ),
            Concat([MaxPool(stride=2), Conv(stem_mixed, w(192), 3, stride=2)]),
        ]
    )

    def block_a() -> nn.Module:
        return Residual(
            branches_a(a, width),
            Conv(w(32) * 2 + w(64), a, relu=False),
            scale=residual_scale,
        )

    reduction_a = Concat(
        [
            Chain([Conv(a, w(256)), Conv(w(256), w(256), 3), Conv(w(256), w(384), 3)]),
            Conv(a, w(384), 3),
        ],
        identity=True,
    )
    b = 2 * w(384) + a

    def block_b() -> nn.Module:
        return Residual(
            branches_b(b, width),
            Conv(2 * w(192), b, relu=False),
            scale=residual_scale,
        )

    reduction_b = Concat(
        [
            Chain(
                [
                    Conv(b, w(256)),
                    Conv(w(256), w(256), 3, dilation=2),
                    Conv(w(256), w(256), 3, dilation=2),
                ]
            ),
            Chain([Conv(b, w(256)), Conv(w(256), w(256), 3, dilation=2)]),
            Chain([Conv(b, w(256)), Conv(w(256), w(384), 3, dilation=2)]),
        ],
        identity=True,
    )
    c = 2 * w(256) + w(384) + b

    def block_c() -> nn.Module:
        return Residual(
            branches_c(c, width),
            Conv(w(192) + w(256), c, relu=False),
            scale=residual_scale,
        )

    return Trunk(
        (
            Chain([*stem, *(block_a() for _ in range(blocks[0])), reduction_a]),
            Chain([*(block_b() for _ in range(blocks[1])), reduction_b]),
            Chain([block_c() for _ in range(blocks[2])]),
        ),
        (b, c, c),
    )


def inception_resnet_v2_trunk(blocks: tuple[int, int, int], width: float) -> Trunk:
    """Inception-ResNet-v2 at output stride 8, with 320, 1088 and 2080 channels at width 1.

    Args:
        blocks: residual blocks per stage.
        width: channel factor.
    """

    def w(channels: int) -> int:
        return scaled(channels, width)

    a = w(96) + w(64) + w(96) + w(64)
    stem = Chain(
        [
            Conv(3, w(32), 3, stride=2),
            Conv(w(32), w(32), 3),
            Conv(w(32), w(64), 3),
            MaxPool(stride=2),
            Conv(w(64), w(80)),
            Conv(w(80), w(192), 3),
            MaxPool(stride=2),
            Concat(
                [
                    Conv(w(192), w(96)),
                    Chain([Conv(w(192), w(48)), Conv(w(48), w(64), 5)]),
                    Chain([Conv(w(192), w(64)), Conv(w(64), w(96), 3), Conv(w(96), w(96), 3)]),
                    Chain([AveragePool(), Conv(w(192), w(64))]),
                ]
            ),
        ]
    )

    def project(cin: int, cout: int) -> Conv:
        return Conv(cin, cout, norm=False, relu=False)

    def block_35() -> nn.Module:
        return Residual(
            branches_a(a, width),
            project(w(32) * 2 + w(64), a),
            scale=0.17,
        )

    mixed_6a = Concat(
        [
            Conv(a, w(384), 3),
            Chain([Conv(a, w(256)), Conv(w(256), w(256), 3), Conv(w(256), w(384), 3)]),
            MaxPool(),
        ]
    )
    b = 2 * w(384) + a

    def block_17() -> nn.Module:
        return Residual(
            branches_b(b, width),
            project(2 * w(192), b),
            scale=0.1,
        )

    mixed_7a = Concat(
        [
            Chain([Conv(b, w(256)), Conv(w(256), w(384), 3, dilation=2)]),
            Chain([Conv(b, w(256)), Conv(w(256), w(288), 3, dilation=2)]),
            Chain(
                [
                    Conv(b, w(256)),
                    Conv(w(256), w(288), 3, dilation=2),
                    Conv(w(288), w(320), 3, dilation=2),
                ]
            ),
            MaxPool(dilation=2),
        ]
    )
    c = w(384) + w(288) + w(320) + b

    def block_8(last: bool) -> nn.Module:
        return Residual(
            branches_c(c, width),
            project(w(192) + w(256), c),
            scale=1.0 if last else 0.2,
            relu=not last,
        )

    last_conv = Conv(c, w(1536))
    return Trunk(
        (
            Chain([*stem, *(block_35() for _ in range(blocks[0])), mixed_6a]),
            Chain([*(block_17() for _ in range(blocks[1])), mixed_7a]),
            Chain([*(block_8(i == blocks[2] - 1) for i in range(blocks[2])), last_conv]),
        ),
        (b, c, w(1536)),
    )
