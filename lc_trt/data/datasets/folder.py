"""Layout ``folder``: ROOT/SPLIT/images/NAME.jpg and ROOT/SPLIT/labels/NAME.png."""

from __future__ import annotations

from pathlib import Path

from lc_trt.data.datasets.base import Layout, Pair
from lc_trt.data.images import IMAGE_SUFFIXES


def _place(root: Path, split: str) -> Path:
    return root / split / "images"


def _splits(root: Path) -> list[str]:
    return sorted(p.parent.name for p in root.glob("*/images"))


def _pairs(root: Path, split: str) -> list[Pair]:
    labels = root / split / "labels"
    images = sorted(p for p in _place(root, split).iterdir() if p.suffix.lower() in IMAGE_SUFFIXES)
    return [Pair(p.stem, p, labels / f"{p.stem}.png") for p in images]


FOLDER = Layout(
    expects=(
        f"ROOT/SPLIT/images/NAME with {', '.join(IMAGE_SUFFIXES)} and ROOT/SPLIT/labels/NAME.png"
    ),
    place=_place,
    splits=_splits,
    pairs=_pairs,
)
