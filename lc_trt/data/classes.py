"""Class sets: names and colours of the classes of a data set."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from lc_trt.errors import UsageError

IGNORE = 255  # ignore index: label of pixels excluded from losses and metrics
MOST = 255  # classes; IGNORE is none
FILE = "classes.txt"  # in a data set's folder


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

    def as_metadata(self) -> str | dict[str, Any]:
        """A value for JSON that `find_classes` takes: a known set's name or number, or the set."""
        if self in CLASS_SETS.values():
            return self.name
        if self == numbered(len(self)):
            return str(len(self))
        return {"name": self.name, "names": self.names, "colours": self.colours}


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


def find_classes(name: str | Mapping[str, Any]) -> ClassSet:
    """Look up a class set.

    Args:
        name: of the set, a number from 1 to 255 for that many unnamed classes, a file that
            `read_classes` reads, ending in .txt, or what `ClassSet.as_metadata` returned.

    Raises:
        UsageError: none of them, or a file with an error.
    """
    if isinstance(name, Mapping):
        colours = tuple((r, g, b) for r, g, b in name["colours"])
        return ClassSet(name["name"], tuple(name["names"]), colours)
    if name in CLASS_SETS:
        return CLASS_SETS[name]
    if name.isdigit() and 1 <= int(name) <= MOST:
        return numbered(int(name))
    if name.endswith(".txt"):
        return read_classes(Path(name))
    raise UsageError(
        f"unknown class set {name!r}: expected {', '.join(CLASS_SETS)}, a number of classes "
        f"from 1 to {MOST}, or a file {FILE}"
    )


def read_classes(path: Path) -> ClassSet:
    """Read the names of classes, one per line, by class index.

    A colour may follow a name, as red, green and blue from 0 to 255: ``car, 64, 0, 128``. A class
    without one has that of its index in the VOC palette.

    Args:
        path: the file, UTF-8.

    Raises:
        UsageError: the file cannot be read, has no or too many lines, or a line is no class.
    """
    try:
        lines = path.read_text(encoding="utf-8").rstrip().splitlines()
    except (OSError, UnicodeDecodeError) as error:
        raise UsageError(
            f"{path}: cannot be read ({error}); expected one class per line"
        ) from error
    if not 1 <= len(lines) <= MOST:
        raise UsageError(f"{path}: {len(lines)} lines, expected one class per line, 1 to {MOST}")
    names: list[str] = []
    colours: list[tuple[int, int, int]] = []
    for index, line in enumerate(lines):
        name, *colour = (part.strip() for part in line.split(","))
        if not name or name in names or not _is_colour(colour):
            raise UsageError(
                f"{path}, line {index + 1}: {line.strip()!r}, expected a name that no other class "
                "has, alone or followed by a colour: NAME, RED, GREEN, BLUE"
            )
        names.append(name)
        r, g, b = map(int, colour) if colour else voc_colour(index)
        colours.append((r, g, b))
    return ClassSet(path.name, tuple(names), tuple(colours))


def _is_colour(parts: list[str]) -> bool:
    return not parts or (
        len(parts) == 3 and all(part.isdecimal() and int(part) <= 255 for part in parts)
    )


def dataset_classes(root: str | Path, otherwise: str) -> ClassSet:
    """The classes of a data set: those that its folder lists, else a known set.

    Args:
        root: folder of the data set; its file `FILE` goes first, since it says what the labels are.
        otherwise: as in `find_classes`, for a folder without that file.

    Raises:
        UsageError: unknown set, or a file with an error.
    """
    path = Path(root) / FILE
    return read_classes(path) if path.is_file() else find_classes(otherwise)
