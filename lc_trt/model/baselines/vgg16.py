"""VGG16 at output stride 8 (L.-C. Chen et al., "Semantic Image Segmentation with Deep Convolutional
Nets and Fully Connected CRFs": DeepLab-LargeFOV).
"""

from __future__ import annotations

from lc_trt.model.cascade import Dense
from lc_trt.model.layers import Chain, Conv, Dropout, MaxPool


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
