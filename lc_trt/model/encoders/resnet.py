"""ResNet-18 without its classifier.

Architecture: K. He, X. Zhang, S. Ren, J. Sun, "Deep Residual Learning for Image Recognition", 2015.
"""

from __future__ import annotations

from lc_trt.model.encoders.base import EncoderInfo, SequentialEncoder
from lc_trt.model.layers import Chain, Conv, MaxPool, Residual

NAME = "resnet18"
# BGR, of the weights of torchvision and timm.
NORMALISATION = ((103.53, 116.28, 123.675), (57.375, 57.12, 58.395))
EPSILON = 1e-5
WIDTHS = (64, 128, 256, 512)


def basic_block(cin: int, cout: int, stride: int) -> Residual:
    """Two 3x3 convolutions around a shortcut, which is 1x1 where the shape changes.

    Args:
        cin: input channels.
        cout: output channels.
        stride: of the first convolution.
    """
    shortcut = None
    if stride != 1 or cin != cout:
        shortcut = Conv(cin, cout, stride=stride, relu=False, eps=EPSILON)
    return Residual(
        Conv(cin, cout, 3, stride=stride, eps=EPSILON),
        Conv(cout, cout, 3, relu=False, eps=EPSILON),
        scale=1.0,
        shortcut=shortcut,
    )


def resnet18() -> SequentialEncoder:
    """Create a ResNet-18 without its classifier, with random weights."""
    stem = Chain([Conv(3, 64, 7, stride=2, eps=EPSILON), MaxPool(stride=2)])
    groups = [
        Chain([basic_block(cin, cout, 1 if i == 0 else 2), basic_block(cout, cout, 1)])
        for i, (cin, cout) in enumerate(zip((64, *WIDTHS), WIDTHS, strict=False))
    ]
    return SequentialEncoder(EncoderInfo(NAME, *NORMALISATION), WIDTHS, [stem, *groups])
