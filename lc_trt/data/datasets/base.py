"""Labelled data sets, independent of their layout on disk."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path

import cv2
import numpy as np
import numpy.typing as npt

from lc_trt.data.classes import IGNORE
from lc_trt.errors import LcTrtError

Image = npt.NDArray[np.uint8]

CACHE_BYTES = 1 << 30  # CamVid fits; Cityscapes has 18 GB


@dataclass(frozen=True)
class Sample:
    """An image and its label map.

    Attributes:
        name: of the image.
        image: BGR, uint8 [H, W, 3].
        label: class index per pixel, uint8 [H, W]; 255 is ignored.
    """

    name: str
    image: Image
    label: Image


@dataclass(frozen=True)
class Pair:
    """Files of a sample.

    Attributes:
        name: of the image.
        image: the image file.
        label: the label map.
    """

    name: str
    image: Path
    label: Path


@dataclass(frozen=True)
class Layout:
    """The layout of a data set on disk.

    Attributes:
        expects: description of the layout, for messages.
        place: returns the folder or list file of a split, from ROOT and the split's name.
        splits: lists the names of ROOT's splits.
        pairs: lists the files of an existing split.
        classes: number of classes; None for any number.
        values: class index of each value that label files may hold besides 255; None where the
            values are class indices.
    """

    expects: str
    place: Callable[[Path, str], Path]
    splits: Callable[[Path], list[str]]
    pairs: Callable[[Path, str], list[Pair]]
    classes: int | None = None
    values: Mapping[int, int] | None = None


class Dataset:
    """A sequence of labelled images, read on demand and cached in memory as far as they fit.

    Args:
        pairs: the files; all must exist.
        classes: number of classes.
        values: as in `Layout`.
        cache_bytes: size of the cache. Samples are never evicted, since an LRU cache would miss
            every sample of repeated sequential passes.

    Raises:
        LcTrtError: a file is missing. On reading a sample: not an image, or a label map of another
            size or with a value that is not a class.
    """

    def __init__(
        self,
        pairs: Sequence[Pair],
        classes: int,
        values: Mapping[int, int] | None = None,
        *,
        cache_bytes: int = CACHE_BYTES,
    ) -> None:
        # Check all files now, so that training does not fail hours later.
        for pair in pairs:
            if not pair.image.is_file():
                raise LcTrtError(f"{pair.image}: no such file; expected the image {pair.name!r}")
            if not pair.label.is_file():
                raise LcTrtError(
                    f"{pair.label}: no such file; expected the label map of {pair.image.name}"
                )
        self.pairs, self.classes = list(pairs), classes
        self._cache_bytes = cache_bytes
        self._values = {i: i for i in range(classes)} if values is None else dict(values)
        self._decode = np.full(256, IGNORE, np.uint8)
        self._decode[list(self._values)] = list(self._values.values())
        self._known = np.zeros(256, np.bool_)
        self._known[[*self._values, IGNORE]] = True
        self._samples: dict[int, Sample] = {}
        self._cached_bytes = 0

    def __len__(self) -> int:
        return len(self.pairs)

    def __getitem__(self, i: int) -> Sample:
        if i in self._samples:
            return self._samples[i]
        sample = self._read(self.pairs[i])
        size = sample.image.nbytes + sample.label.nbytes
        if self._cached_bytes + size <= self._cache_bytes:
            self._samples[i] = sample
            self._cached_bytes += size
        return sample

    def __iter__(self) -> Iterator[Sample]:
        return (self[i] for i in range(len(self)))

    def _read(self, pair: Pair) -> Sample:
        image = cv2.imread(str(pair.image), cv2.IMREAD_COLOR)
        if image is None:
            raise LcTrtError(f"{pair.image}: not a readable image")
        label = read_values(pair.label)
        if label.dtype != np.uint8 or label.shape != image.shape[:2]:
            raise LcTrtError(
                f"{pair.label}: {label.dtype} {label.shape}, expected uint8 {image.shape[:2]}, "
                f"the class index per pixel of {pair.image.name}, as grayscale or palette image"
            )
        known = self._known[label]
        if not known.all():
            raise LcTrtError(
                f"{pair.label}: value {int(label[~known][0])}, expected 0 to {max(self._values)} "
                f"or {IGNORE}"
            )
        return Sample(pair.name, np.asarray(image, np.uint8), self._decode[label])


def read_values(path: Path) -> npt.NDArray[np.generic]:
    """Read the stored pixel values of an image file; for a palette PNG, the palette indices.

    OpenCV converts palettes to colors, which need not be unique; Pillow returns the indices.

    Args:
        path: the image file.

    Returns:
        [H, W] or [H, W, C], in the file's type.

    Raises:
        LcTrtError: not a readable image, or a palette PNG without Pillow installed.
    """
    with path.open("rb") as file:
        head = file.read(26)
    if head.startswith(b"\x89PNG") and head[25:] == b"\x03":  # IHDR color type 3: palette
        return _read_indices(path)
    values = cv2.imread(str(path), cv2.IMREAD_UNCHANGED)
    if values is None:
        raise LcTrtError(f"{path}: not a readable image")
    return values


def _read_indices(path: Path) -> npt.NDArray[np.uint8]:
    try:
        from PIL import Image as pillow
    except ImportError as error:
        raise LcTrtError(
            f"{path}: reading a palette PNG needs Pillow: pip install pillow"
        ) from error
    try:
        with pillow.open(path) as image:
            return np.array(image)
    except (OSError, SyntaxError, ValueError) as error:  # Pillow's errors for a damaged file
        raise LcTrtError(f"{path}: not a readable image") from error
