"""Class sets: names and colours of the classes of a data set."""

from __future__ import annotations

from dataclasses import dataclass

from lc_trt.errors import UsageError

IGNORE = 255  # ignore index: label of pixels excluded from losses and metrics


@dataclass(frozen=True)
class ClassSet:
    """The classes of a data set, by class index.

    Attributes:
        name: of the set.
        names: class names.
        colours: RGB, 0 to 255.
    """

    name: str
    names: tuple[str, ...]
    colours: tuple[tuple[int, int, int], ...]

    def __len__(self) -> int:
        return len(self.names)


def voc_colour(label: int) -> tuple[int, int, int]:
    """RGB colour of a class index in the VOC palette.

    Args:
        label: class index, 0 to 255. Its bits are distributed over R, G and B, from their most
            significant bits down.
    """
    r = g = b = 0
    for shift in range(7, -1, -1):
        r |= (label & 1) << shift
        g |= (label >> 1 & 1) << shift
        b |= (label >> 2 & 1) << shift
        label >>= 3
    return r, g, b


def numbered(count: int) -> ClassSet:
    """Create a set of unnamed classes in VOC colours.

    Args:
        count: number of classes.
    """
    return ClassSet(
        f"{count} classes",
        tuple(f"class{i}" for i in range(count)),
        tuple(voc_colour(i) for i in range(count)),
    )


_VOC = [
    "background",
    "aeroplane",
    "bicycle",
    "bird",
    "boat",
    "bottle",
    "bus",
    "car",
    "cat",
    "chair",
    "cow",
    "diningtable",
    "dog",
    "horse",
    "motorbike",
    "person",
    "pottedplant",
    "sheep",
    "sofa",
    "train",
    "tvmonitor",
]
_CAMVID = {
    "sky": (128, 128, 128),
    "building": (128, 0, 0),
    "pole": (192, 192, 128),
    "road": (128, 64, 128),
    "pavement": (60, 40, 222),
    "tree": (128, 128, 0),
    "sign": (192, 128, 128),
    "fence": (64, 64, 128),
    "car": (64, 0, 128),
    "pedestrian": (64, 64, 0),
    "bicyclist": (0, 128, 192),
}
_CITYSCAPES = {
    "road": (128, 64, 128),
    "sidewalk": (244, 35, 232),
    "building": (70, 70, 70),
    "wall": (102, 102, 156),
    "fence": (190, 153, 153),
    "pole": (153, 153, 153),
    "traffic light": (250, 170, 30),
    "traffic sign": (220, 220, 0),
    "vegetation": (107, 142, 35),
    "terrain": (152, 251, 152),
    "sky": (70, 130, 180),
    "person": (220, 20, 60),
    "rider": (255, 0, 0),
    "car": (0, 0, 142),
    "truck": (0, 0, 70),
    "bus": (0, 60, 100),
    "train": (0, 80, 100),
    "motorcycle": (0, 0, 230),
    "bicycle": (119, 11, 32),
}
CLASS_SETS: dict[str, ClassSet] = {
    "voc": ClassSet("voc", tuple(_VOC), tuple(voc_colour(i) for i in range(21))),
    "camvid": ClassSet("camvid", tuple(_CAMVID), tuple(_CAMVID.values())),
    "cityscapes": ClassSet("cityscapes", tuple(_CITYSCAPES), tuple(_CITYSCAPES.values())),
}


def find_classes(name: str) -> ClassSet:
    """Look up a class set.

    Args:
        name: of the set, or a number from 1 to 255 for that many unnamed classes.

    Raises:
        UsageError: neither.
    """
    if name in CLASS_SETS:
        return CLASS_SETS[name]
    if name.isdigit() and 1 <= int(name) <= 255:
        return numbered(int(name))
    raise UsageError(
        f"unknown class set {name!r}: expected {', '.join(CLASS_SETS)} or a number of classes "
        "from 1 to 255"
    )
