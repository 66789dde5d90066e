"""Labelled images, each data set in the layout it is published in."""

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
    """The labelled images of one split.

    Args:
        layout: a name of `LAYOUTS`; each is described in its module.
        root: the data set's folder.
        split: ``train``, ``val`` or what else the data set has.
        classes: what the labels mean; their number must be the layout's.

    Raises:
        UsageError: no such layout, or classes that do not fit it.
        LcTrtError: no such split, an empty one, or a file of it is missing. Files are read later:
            see `Dataset`.

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
            f"layout {layout} has {kind.classes} classes and {classes.name!r} has {len(classes)}: "
            f"give the classes {layout!r}"
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
