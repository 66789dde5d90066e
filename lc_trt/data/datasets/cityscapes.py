"""Layout ``cityscapes``: leftImg8bit and gtFine side by side, as in its two archives."""

from __future__ import annotations

from pathlib import Path

from lc_trt.data.classes import CLASS_SETS, IGNORE
from lc_trt.data.datasets.base import Layout, Pair

IMAGE_END, LABEL_END = "_leftImg8bit.png", "_gtFine_labelIds.png"

# Label ids used in evaluation, ordered by train id (cityscapesScripts, labels.py).
EVALUATED = (7, 8, 11, 12, 13, 17, 19, 20, 21, 22, 23, 24, 25, 26, 27, 28, 31, 32, 33)
TRAIN_IDS = {label: EVALUATED.index(label) if label in EVALUATED else IGNORE for label in range(34)}


def _place(root: Path, split: str) -> Path:
    return root / "leftImg8bit" / split


def _splits(root: Path) -> list[str]:
    return sorted(p.name for p in root.glob("leftImg8bit/*") if p.is_dir())


def _pairs(root: Path, split: str) -> list[Pair]:
    pairs = []
    for image in sorted(_place(root, split).glob(f"*/*{IMAGE_END}")):
        name = image.name.removesuffix(IMAGE_END)
        label = root / "gtFine" / split / image.parent.name / f"{name}{LABEL_END}"
        pairs.append(Pair(name, image, label))
    return pairs


CITYSCAPES = Layout(
    expects=(
        f"ROOT/leftImg8bit/SPLIT/CITY/NAME{IMAGE_END} and ROOT/gtFine/SPLIT/CITY/NAME{LABEL_END}"
    ),
    place=_place,
    splits=_splits,
    pairs=_pairs,
    classes=len(CLASS_SETS["cityscapes"]),
    values=TRAIN_IDS,
)
