"""Layout ``voc``: PASCAL VOC's development kit, with SBD's labels if present.

ROOT is VOCdevkit or the folder of a year in it. SBD (B. Hariharan et al., 2011) labels 10,582
images for training, split ``trainaug``; its label maps come as the folder SegmentationClassAug.
"""

from __future__ import annotations

from pathlib import Path

from lc_trt.data.classes import CLASS_SETS
from lc_trt.data.datasets.base import Layout, Pair

# SBD's image list is distributed under two names.
TRAINAUG = ("trainaug", "train_aug")


def _year_folder(root: Path) -> Path:
    """The folder with images and lists; VOC2012 before VOC2007 in a VOCdevkit."""
    folders = (root / "VOC2012", root / "VOC2007")
    return next((folder for folder in folders if (folder / "ImageSets").is_dir()), root)


def _lists(root: Path) -> Path:
    return _year_folder(root) / "ImageSets" / "Segmentation"


def _place(root: Path, split: str) -> Path:
    names = TRAINAUG if split in TRAINAUG else (split,)
    paths = [_lists(root) / f"{name}.txt" for name in names]
    return next((path for path in paths if path.is_file()), paths[0])


def _splits(root: Path) -> list[str]:
    stems = {p.stem for p in _lists(root).glob("*.txt")}
    return sorted({TRAINAUG[0] if stem in TRAINAUG else stem for stem in stems})


def _pairs(root: Path, split: str) -> list[Pair]:
    folder = _year_folder(root)
    # Use one source for all images: VOC's labels have an ignored border and SBD's do not, so a
    # mixture would be comparable to neither.
    augmented = folder / "SegmentationClassAug"
    labels = augmented if augmented.is_dir() else folder / "SegmentationClass"
    names = _place(root, split).read_text(encoding="utf-8").split()
    return [
        Pair(name, folder / "JPEGImages" / f"{name}.jpg", labels / f"{name}.png") for name in names
    ]


VOC = Layout(
    expects=(
        "ROOT[/VOC2012]/ImageSets/Segmentation/SPLIT.txt with image names, and for each "
        "JPEGImages/NAME.jpg and SegmentationClassAug/NAME.png or SegmentationClass/NAME.png"
    ),
    place=_place,
    splits=_splits,
    pairs=_pairs,
    classes=len(CLASS_SETS["voc"]),
)
