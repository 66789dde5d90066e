"""The published speeds and operating points, as data.

Source: X. Li, Z. Liu, P. Luo, C. C. Loy, X. Tang, "Not All Pixels Are Equal: Difficulty-Aware
Semantic Segmentation via Deep Layer Cascade", CVPR 2017: its poster (frames per second, time
per stage) and its table of thresholds (VOC12 val). One 300x500 image at a time; the GPU and the
protocol are not stated.
"""

from __future__ import annotations

from dataclasses import dataclass

from lc_trt.runtime.find_rho import Shares

SOURCE = "Layer Cascade, CVPR 2017, 300x500"
SIZE = (300, 500)  # (height, width) in pixels
TARGET_FPS = 23.6  # the paper's fast mode


@dataclass(frozen=True)
class OperatingPoint:
    """One published setting of the cascade.

    Attributes:
        rho: threshold, the same at both boundaries.
        shares: pixels leaving at each stage, 0 to 1.
        fps: frames per second.
        stage_ms: milliseconds in each stage.
    """

    rho: float
    shares: Shares
    fps: float
    stage_ms: tuple[float, float, float]


LC = OperatingPoint(0.985, (0.23, 0.29, 0.48), 14.7, (15.6, 31.2, 18.2))
LC_FAST = OperatingPoint(0.8, (0.56, 0.29, 0.15), 23.6, (15.7, 21.7, 4.7))
POINTS = {"LC": LC, "LC fast": LC_FAST}
"""By the name of the row that the bench measures beside it."""

# Frames per second of dense networks, by our names for them. The paper's Inception-ResNet is
# the network that it cuts into stages: irnet, and the published Inception-ResNet-v2 it is
# built after.
DENSE_FPS = {
    "vgg16": 5.7,
    "resnet101": 7.1,
    "irnet": 9.0,
    "irnet-small": 9.0,
    "inception-resnet-v2": 9.0,
}


def dense_fps(name: str) -> float | None:
    """Published speed of a dense network; None for one that the paper does not have."""
    return DENSE_FPS.get(name)
