"""Labelled images of an evaluation: a split, a folder with label maps, or images in memory."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import Protocol

from lc_trt.data.classes import CLASS_SETS, ClassSet
from lc_trt.data.datasets import Sample, open_dataset
from lc_trt.data.datasets.base import Dataset, Pair
from lc_trt.data.images import list_images, spread
from lc_trt.errors import LcTrtError


class Samples(Protocol):
    """A sequence of labelled images, such as `lc_trt.data.datasets.Dataset`."""

    classes: int

    def __len__(self) -> int: ...

    def __getitem__(self, i: int, /) -> Sample: ...

    def __iter__(self) -> Iterator[Sample]: ...


class Subset:
    """A subset of samples.

    Args:
        samples: the samples to choose from.
        indices: of the chosen samples.
    """

    def __init__(self, samples: Samples, indices: list[int]) -> None:
        self.samples, self.indices, self.classes = samples, indices, samples.classes

    def __len__(self) -> int:
        return len(self.indices)

    def __getitem__(self, i: int) -> Sample:
        return self.samples[self.indices[i]]

    def __iter__(self) -> Iterator[Sample]:
        return (self.samples[i] for i in self.indices)


class InMemorySamples:
    """Samples in memory.

    Args:
        samples: the samples.
        classes: number of classes.
    """

    def __init__(self, samples: Sequence[Sample], classes: int) -> None:
        self.samples, self.classes = samples, classes

    def __len__(self) -> int:
        return len(self.samples)

    def __getitem__(self, i: int) -> Sample:
        return self.samples[i]

    def __iter__(self) -> Iterator[Sample]:
        return iter(self.samples)


def open_label_maps(images: Path, labels: Path, classes: int, limit: int) -> Samples:
    """Open a folder of images with one label map each.

    Args:
        images: folder of images.
        labels: folder of label maps, NAME.png for each image.
        classes: number of classes of the labels.
        limit: number of images, evenly spaced.

    Raises:
        LcTrtError: no such folder, or no images in it.
    """
    for folder, option in ((images, "--images"), (labels, "--labels")):
        if not folder.is_dir():
            raise LcTrtError(f"{option} {folder}: no such folder; expected a folder of images")
    files = list_images(images).files
    dataset = Dataset([Pair(p.stem, p, labels / f"{p.stem}.png") for p in files], classes)
    return Subset(dataset, spread(len(dataset), limit))


def open_samples(
    layout: str, root: Path, split: str, classes: ClassSet, limit: int | None = None
) -> Samples:
    """Open the samples of a split.

    Args:
        layout: as of `lc_trt.data.datasets.open_dataset`, like the next three.
        root: the data set's folder.
        split: name of the split.
        classes: the classes of the labels.
        limit: number of samples, evenly spaced; None for all.

    Raises:
        LcTrtError: no such split, an empty one, or a missing file.
        UsageError: unknown layout, or the wrong number of classes.
    """
    dataset = open_dataset(layout, root, split, classes)
    return dataset if limit is None else Subset(dataset, spread(len(dataset), limit))


def class_set(names: tuple[str, ...], colours: tuple[tuple[int, int, int], ...]) -> ClassSet:
    """Find the class set of a model.

    Args:
        names: class names.
        colours: RGB per class.

    Returns:
        The predefined set with these names, or a new one.
    """
    known = next((known for known in CLASS_SETS.values() if known.names == names), None)
    return known or ClassSet(f"{len(names)} classes", names, colours)
