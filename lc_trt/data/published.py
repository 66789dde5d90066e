"""Published speeds, accuracies and analyses, for comparison with ours.

Source: X. Li, Z. Liu, P. Luo, C. C. Loy, X. Tang, "Not All Pixels Are Equal: Difficulty-Aware
Semantic Segmentation via Deep Layer Cascade", CVPR 2017, tables and poster. Values are percentages
unless noted; speeds are for one 300x500 image at a time on a GPU that the paper does not name. The
figures of peers name their own source.
"""

from __future__ import annotations

from dataclasses import dataclass

from lc_trt.data.classes import CLASS_SETS

VOC = CLASS_SETS["voc"]
SOURCE = "Layer Cascade, CVPR 2017"
SIZE = (300, 500)  # (height, width) in pixels of the timed images
VAL, TEST = "VOC12 val", "VOC12 test"


@dataclass(frozen=True)
class Method:
    """Published IoU of a method on VOC12 test.

    Attributes:
        name: of the method.
        coco: whether it was trained on COCO too.
        miou: over all 21 classes.
        iou: of the 20 foreground classes; the background's is not published.
    """

    name: str
    coco: bool
    miou: float
    iou: tuple[float, ...]

    @property
    def title(self) -> str:
        """Name and training data of the method."""
        return f"{self.name} +COCO" if self.coco else self.name

    def class_iou(self, label: int) -> float | None:
        """IoU of a VOC class; None for the background.

        Args:
            label: class index.
        """
        return self.iou[label - 1] if label else None


METHODS = (
    Method("FCN", False, 62.2, (
        76.8, 34.2, 68.9, 49.4, 60.3, 75.3, 74.7, 77.6, 21.4, 62.5,
        46.8, 71.8, 63.9, 76.5, 73.9, 45.2, 72.4, 37.4, 70.9, 55.1,
    )),
    Method("DeepLab", False, 71.6, (
        84.4, 54.5, 81.5, 63.6, 65.9, 85.1, 79.1, 83.4, 30.7, 74.1,
        59.8, 79.0, 76.1, 83.2, 80.8, 59.7, 82.2, 50.4, 73.1, 63.7,
    )),
    Method("RNN", False, 72.0, (
        87.5, 39.0, 79.7, 64.2, 68.3, 87.6, 80.8, 84.4, 30.4, 72.8,
        60.4, 80.5, 77.8, 83.1, 80.6, 59.5, 82.8, 47.8, 78.3, 67.1,
    )),
    Method("Adelaide", False, 79.1, (
        91.9, 48.1, 93.4, 69.3, 75.5, 94.2, 87.5, 92.8, 36.7, 86.9,
        65.2, 89.1, 90.2, 86.5, 87.2, 64.6, 90.1, 59.7, 85.5, 72.7,
    )),
    Method("LC", False, 80.3, (
        94.1, 63.0, 91.2, 67.9, 79.5, 93.4, 90.0, 93.8, 37.4, 83.7,
        65.9, 90.7, 86.1, 88.8, 87.5, 68.5, 86.9, 64.3, 85.6, 72.2,
    )),
    Method("RNN", True, 74.7, (
        90.4, 55.3, 88.7, 68.4, 69.8, 88.3, 82.4, 85.1, 32.6, 78.5,
        64.4, 79.6, 81.9, 86.4, 81.8, 58.6, 82.4, 53.5, 77.4, 70.1,
    )),
    Method("BoxSup", True, 75.2, (
        89.8, 38.0, 89.2, 68.9, 68.0, 89.6, 83.0, 87.7, 34.4, 83.6,
        67.1, 81.5, 83.7, 85.2, 83.5, 58.6, 84.9, 55.8, 81.2, 70.7,
    )),
    Method("DeepLab-v2", True, 79.7, (
        92.6, 60.4, 91.6, 63.4, 76.3, 95.0, 88.4, 92.6, 32.7, 88.5,
        67.4, 89.6, 92.1, 87.0, 87.4, 63.3, 88.3, 60.0, 86.8, 74.5,
    )),
    Method("LC", True, 82.7, (
        85.5, 66.7, 94.5, 67.2, 84.0, 96.1, 89.8, 93.5, 47.2, 90.4,
        71.5, 88.9, 91.7, 89.2, 89.1, 70.4, 89.4, 70.7, 84.2, 79.6,
    )),
)  # fmt: skip


@dataclass(frozen=True)
class RhoRow:
    """A row of the published threshold table (VOC12 val).

    Attributes:
        rho: threshold at both boundaries.
        exited: pixels that exit at stages 1 and 2.
        miou: at that threshold.
    """

    rho: float
    exited: tuple[float, float]
    miou: float


RHO_TABLE = (
    RhoRow(1.0, (0, 0), 72.70),
    RhoRow(0.995, (15, 14), 73.56),
    RhoRow(0.985, (23, 29), 73.91),
    RhoRow(0.970, (30, 31), 73.63),
    RhoRow(0.950, (35, 30), 73.03),
    RhoRow(0.930, (35, 41), 72.53),
    RhoRow(0.900, (44, 31), 71.20),
    RhoRow(0.800, (56, 29), 66.95),
)


def rho_row(rho: tuple[float, float]) -> RhoRow | None:
    """Look up a row of the published threshold table.

    Args:
        rho: one threshold per boundary.

    Returns:
        The row, or None if these thresholds are not in the table.
    """
    return next((row for row in RHO_TABLE if rho == (row.rho, row.rho)), None)


@dataclass(frozen=True)
class OperatingPoint:
    """A published operating point of the cascade.

    Attributes:
        row: its thresholds, exit shares and mIoU.
        fps: frames per second.
        stage_ms: milliseconds per stage.
    """

    row: RhoRow
    fps: float
    stage_ms: tuple[float, float, float]

    @property
    def shares(self) -> tuple[float, float, float]:
        """Share of pixels that exit at each stage, 0 to 1."""
        first, second = self.row.exited
        return first / 100, second / 100, (100 - first - second) / 100


LC = OperatingPoint(RHO_TABLE[2], 14.7, (15.6, 31.2, 18.2))
LC_FAST = OperatingPoint(RHO_TABLE[7], 23.6, (15.7, 21.7, 4.7))
POINTS = {"LC": LC, "LC fast": LC_FAST}
"""By the name of the corresponding row of the bench."""
TARGET_FPS = LC_FAST.fps

# Frames per second of dense networks, by our preset names. The paper's Inception-ResNet stands for
# irnet, the network that the cascade is made from, and for Inception-ResNet-v2, which irnet derives
# from.
DENSE_FPS = {
    "vgg16": 5.7,
    "resnet101": 7.1,
    "irnet": 9.0,
    "irnet-small": 9.0,
    "inception-resnet-v2": 9.0,
}


def dense_fps(name: str) -> float | None:
    """Published speed of a dense network in frames per second.

    Args:
        name: of the preset or baseline.

    Returns:
        The speed, or None if the paper does not list the network.
    """
    return DENSE_FPS.get(name)


# Milliseconds per image and mIoU by method: the published curve (VOC12 val).
SPEEDS = {
    "LC": (65.1, 73.91),
    "LC (fast)": (42.5, 66.95),
    "DeepLab-v2": (140.0, 70.42),
    "SegNet": (69.0, 59.90),
}

# Exit shares of a class's pixels at stages 1, 2 and 3, by VOC class.
EXIT_SHARES_BY_CLASS = {
    "cat": (8.2, 39.2, 52.6),
    "car": (10.3, 45.9, 43.7),
    "chair": (6.6, 16.6, 76.8),
    "diningtable": (4.9, 14.3, 80.8),
}

# Share of easy, moderate and hard pixels that lie on object boundaries.
NEAR_BOUNDARY = (6.7, 19.0, 68.0)


@dataclass(frozen=True)
class PeerFigures:
    """Published accuracy and speed of a real-time network.

    Attributes:
        title: name in tables.
        miou: on ``data``.
        data: data set and split.
        size: (height, width) in pixels of the images.
        pretraining: data sets that it was trained on before.
        fps: frames per second at that size; None where the source has none.
        gpu: that ``fps`` was measured on.
        source: the publication.
    """

    title: str
    miou: float
    data: str
    size: tuple[int, int]
    pretraining: str
    fps: float | None
    gpu: str | None
    source: str

    @property
    def protocol(self) -> str:
        """Data, size and pre-training in one line."""
        return f"{self.data}, {self.size[0]}x{self.size[1]}, pre-trained on {self.pretraining}"

    @property
    def speed(self) -> str | None:
        """Speed and GPU in one line; None where the source has none."""
        return None if self.fps is None else f"{self.fps:.1f} fps on {self.gpu}"


# By our preset names. DDRNet's own abstract (Y. Hong, H. Pan, W. Sun, Y. Jia, T-ITS 2022) has
# 74.7 % and 230 fps on an RTX 2080 Ti, without extra data. With Cityscapes, as PIDNet is trained,
# its accuracy is in PIDNet's table.
_PIDNET = "J. Xu, Z. Xiong, S. Bhattacharyya, PIDNet, CVPR 2023"
PEERS = {
    "pidnet-s": PeerFigures(
        "PIDNet-S", 80.1, "CamVid test", (720, 960), "ImageNet and Cityscapes", 153.7,
        "an RTX 3090", _PIDNET,
    ),
    "ddrnet-23-slim": PeerFigures(
        "DDRNet-23-slim", 78.6, "CamVid test", (720, 960), "ImageNet and Cityscapes", None,
        None, f"CamVid table of {_PIDNET}",
    ),
}  # fmt: skip
