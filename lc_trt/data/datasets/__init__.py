"""Opens labelled data sets in their published layouts."""

from __future__ import annotations

from pathlib import Path

from lc_trt.data.classes import ClassSet
from lc_trt.data.datasets.base import Dataset, Sample
from lc_trt.data.datasets.cityscapes import CITYSCAPES
from lc_trt.data.datasets.folder import FOLDER
from lc_trt.data.datasets.voc import VOC
from lc_trt.errors import LcTrtError, UsageError

__all__ = ["LAYOUTS", "Dataset", "Sample", "open_dataset"]

_LAYOUTS = {"folder": FOLDER, "voc": VOC, "cityscapes": CITYSCAPES}
LAYOUTS = tuple(_LAYOUTS)


def open_dataset(layout: str, root: str | Path, split: str, classes: ClassSet) -> Dataset:
    """Open a split of a labelled data set.

    Args:
        layout: one of `LAYOUTS`; each is described in its module.
        root: the data set's folder.
        split: ``train``, ``val`` or another split of the data set.
        classes: the classes of the labels; their number must match the layout's.

    Raises:
        UsageError: unknown layout, or the wrong number of classes.
        LcTrtError: no such split, an empty one, or a missing file. Files are read on demand; see
            `Dataset` for those errors.

    Example:
        >>> samples = open_dataset("cityscapes", "cityscapes", "val", find_classes("cityscapes"))
        >>> samples[0].image.shape, samples[0].label.shape
        ((1024, 2048, 3), (1024, 2048))
    """
    if layout not in _LAYOUTS:
        raise UsageError(f"unknown layout {layout!r}: expected {', '.join(LAYOUTS)}")
    kind, root = _LAYOUTS[layout], Path(root)
    if kind.classes not in (None, len(classes)):
        raise UsageError(
            f"classes {classes.name!r}: {len(classes)} classes, expected {kind.classes} for layout "
            f"{layout}; use classes {layout!r}"
        )
    place, expects = kind.place(root, split), f"layout {layout} is {kind.expects}"
    if not place.exists():
        splits = ", ".join(kind.splits(root))
        raise LcTrtError(
            f"{place}: no split {split!r} there; " + (f"{root} has {splits}" if splits else expects)
        )
    pairs = kind.pairs(root, split)
    if not pairs:
        raise LcTrtError(f"{place}: split {split!r} is empty; {expects}")
    return Dataset(pairs, len(classes), kind.values)
