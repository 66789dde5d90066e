"""Dense baselines of the published speed table: VGG16 and ResNet-101 at output stride 8.

Architectures: L.-C. Chen et al., "Semantic Image Segmentation with Deep Convolutional Nets and
Fully Connected CRFs" (DeepLab-LargeFOV, VGG16) and "DeepLab" (v2, ResNet-101 with ASPP).
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass

from lc_trt.model.cascade import Dense
from lc_trt.model.layers import Chain, Conv, Dropout, MaxPool, Residual, Sum

IMAGENET_MEAN = (103.53, 116.28, 123.675)
IMAGENET_STD = (57.375, 57.12, 58.395)
RESNET_DILATIONS = (6, 12, 18, 24)


@dataclass(frozen=True)
class Baseline:
    """A network without a cascade form.

    Attributes:
        name: of the preset.
        build: creates the uninitialised network for a number of classes.
        mean: input normalisation, BGR, in units of 0..255.
        std: likewise.
    """

    name: str
    build: Callable[[int], Dense]
    mean: tuple[float, float, float]
    std: tuple[float, float, float]


def vgg16(classes: int) -> Dense:
    """VGG16 as DeepLab-LargeFOV: 3x3 pools, the last two at stride 1, fc6 3x3 with dilation 12.

    Args:
        classes: number of output classes.
    """

    def convs(cin: int, cout: int, count: int, dilation: int = 1) -> list[Conv]:
        return [
            Conv(cin if i == 0 else cout, cout, 3, dilation=dilation, norm=False)
            for i in range(count)
        ]

    trunk = Chain(
        [
            *convs(3, 64, 2),
            MaxPool(stride=2),
            *convs(64, 128, 2),
            MaxPool(stride=2),
            *convs(128, 256, 3),
            MaxPool(stride=2),
            *convs(256, 512, 3),
            MaxPool(),
            *convs(512, 512, 3, dilation=2),
            MaxPool(),
        ]
    )
    head = Chain(
        [
            Conv(512, 1024, 3, dilation=12, norm=False),
            Dropout(0.5),
            Conv(1024, 1024, norm=False),
            Dropout(0.5),
            Conv(1024, classes, norm=False, relu=False),
        ]
    )
    return Dense([trunk], head, classes)


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


BASELINES: dict[str, Baseline] = {
    baseline.name: baseline
    for baseline in (
        Baseline("vgg16", vgg16, IMAGENET_MEAN, IMAGENET_STD),
        Baseline("resnet101", resnet101, IMAGENET_MEAN, IMAGENET_STD),
    )
}
