"""ResNet-101 at output stride 8 with ASPP (L.-C. Chen et al., "DeepLab", version 2)."""

from __future__ import annotations

from lc_trt.model.cascade import Dense
from lc_trt.model.layers import Chain, Conv, MaxPool, Residual, Sum

RESNET_DILATIONS = (6, 12, 18, 24)


def resnet101(classes: int) -> Dense:
    """ResNet-101 as DeepLab-v2: res4 with dilation 2, res5 with 4, ASPP of four 3x3 convolutions.

    The stride is on the first 1x1 of a block, as in the weights that DeepLab-v2 started from.

    Args:
        classes: number of output classes.
    """

    def block(cin: int, hidden: int, stride: int, dilation: int) -> Residual:
        cout = 4 * hidden
        branch = Chain(
            [
                Conv(cin, hidden, stride=stride),
                Conv(hidden, hidden, 3, dilation=dilation),
            ]
        )
        needs_projection = cin != cout or stride != 1
        return Residual(
            branch,
            Conv(hidden, cout, relu=False),
            scale=1.0,
            shortcut=Conv(cin, cout, stride=stride, relu=False) if needs_projection else None,
        )

    def group(cin: int, hidden: int, count: int, stride: int, dilation: int) -> list[Residual]:
        first = block(cin, hidden, stride, dilation)
        return [first, *(block(4 * hidden, hidden, 1, dilation) for _ in range(count - 1))]

    trunk = Chain(
        [
            Conv(3, 64, 7, stride=2),
            MaxPool(stride=2),
            *group(64, 64, 3, 1, 1),
            *group(256, 128, 4, 2, 1),
            *group(512, 256, 23, 1, 2),
            *group(1024, 512, 3, 1, 4),
        ]
    )
    head = Chain(
        [Sum(Conv(2048, classes, 3, dilation=d, norm=False, relu=False) for d in RESNET_DILATIONS)]
    )
    return Dense([trunk], head, classes)
