"""The labelled images of an evaluation: all of a split, or some spread evenly over it."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path
from typing import Protocol

from lc_trt.data.classes import CLASS_SETS, ClassSet
from lc_trt.data.datasets import Sample, open_dataset
from lc_trt.data.images import spread


class Samples(Protocol):
    """Labelled images by number; `lc_trt.data.datasets.Dataset` is one."""

    classes: int

    def __len__(self) -> int: ...

    def __getitem__(self, i: int, /) -> Sample: ...

    def __iter__(self) -> Iterator[Sample]: ...


class Subset:
    """The samples of those numbers."""

    def __init__(self, samples: Samples, numbers: list[int]) -> None:
        self.samples, self.numbers, self.classes = samples, numbers, samples.classes

    def __len__(self) -> int:
        return len(self.numbers)

    def __getitem__(self, i: int) -> Sample:
        return self.samples[self.numbers[i]]

    def __iter__(self) -> Iterator[Sample]:
        return (self.samples[number] for number in self.numbers)


def open_samples(
    layout: str, root: Path, split: str, classes: ClassSet, limit: int | None = None
) -> Samples:
    """A split's samples; ``limit`` of them, the same every time, if given.

    Raises:
        LcTrtError, UsageError: those of `lc_trt.data.datasets.open_dataset`.
    """
    found = open_dataset(layout, root, split, classes)
    return found if limit is None else Subset(found, spread(len(found), limit))


def class_set(names: tuple[str, ...], colours: tuple[tuple[int, int, int], ...]) -> ClassSet:
    """The class set of a model, which knows names and colours only."""
    known = next((known for known in CLASS_SETS.values() if known.names == names), None)
    return known or ClassSet(f"{len(names)} classes", names, colours)
