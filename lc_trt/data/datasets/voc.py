"""Layout ``voc``: PASCAL VOC as its development kit unpacks, with SBD's labels if they are there.

ROOT is VOCdevkit or a year's folder in it. SBD (B. Hariharan et al., 2011) labels 10,582 images for
training, the split ``trainaug``; its label maps are spread as the folder SegmentationClassAug.
"""

from __future__ import annotations

from pathlib import Path

from lc_trt.data.classes import CLASS_SETS
from lc_trt.data.datasets.base import Layout, Pair

# The list of SBD's images goes by two names.
TRAINAUG = ("trainaug", "train_aug")


def _home(root: Path) -> Path:
    """The folder that has the images and the lists; of a VOCdevkit, 2012 before 2007."""
    homes = (root / "VOC2012", root / "VOC2007")
    return next((home for home in homes if (home / "ImageSets").is_dir()), root)


def _lists(root: Path) -> Path:
    return _home(root) / "ImageSets" / "Segmentation"


def _place(root: Path, split: str) -> Path:
    names = TRAINAUG if split in TRAINAUG else (split,)
    paths = [_lists(root) / f"{name}.txt" for name in names]
    return next((path for path in paths if path.is_file()), paths[0])


def _splits(root: Path) -> list[str]:
    stems = {p.stem for p in _lists(root).glob("*.txt")}
    return sorted({TRAINAUG[0] if stem in TRAINAUG else stem for stem in stems})


def _pairs(root: Path, split: str) -> list[Pair]:
    home = _home(root)
    # One folder for all images: SBD's labels have no ignored border, VOC's have one, and a mixture
    # of both would be measured as if it were either.
    augmented = home / "SegmentationClassAug"
    labels = augmented if augmented.is_dir() else home / "SegmentationClass"
    names = _place(root, split).read_text(encoding="utf-8").split()
    return [
        Pair(name, home / "JPEGImages" / f"{name}.jpg", labels / f"{name}.png") for name in names
    ]


VOC = Layout(
    expects=(
        "ROOT[/VOC2012]/ImageSets/Segmentation/SPLIT.txt with names, and of each "
        "JPEGImages/NAME.jpg and SegmentationClassAug/NAME.png or SegmentationClass/NAME.png"
    ),
    place=_place,
    splits=_splits,
    pairs=_pairs,
    classes=len(CLASS_SETS["voc"]),
)
