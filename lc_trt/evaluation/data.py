"""Labelled images of an evaluation: a split, or an evenly spaced subset of it."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path
from typing import Protocol

from lc_trt.data.classes import CLASS_SETS, ClassSet
from lc_trt.data.datasets import Sample, open_dataset
from lc_trt.data.images import spread


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
