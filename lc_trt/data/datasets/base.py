"""What a labelled data set is, whatever its layout on disk."""

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

KEEP_BYTES = 1 << 30  # CamVid fits; Cityscapes has 18 GB


@dataclass(frozen=True)
class Sample:
    """One photograph and its label map.

    Attributes:
        image: uint8 [H, W, 3], BGR.
        label: uint8 [H, W], class numbers; 255 is ignored.
    """

    name: str
    image: Image
    label: Image


@dataclass(frozen=True)
class Pair:
    """Where a sample's photograph and label map are."""

    name: str
    image: Path
    label: Path


@dataclass(frozen=True)
class Layout:
    """How a data set lies on disk.

    Attributes:
        expects: where an image and its label map are, in words.
        place: the folder or list file that makes a split, from ROOT and the split's name.
        splits: names of the splits that a ROOT has.
        pairs: the files of a split that is there.
        classes: how many classes its labels have; None for any number.
        values: class number of each value that a label file may hold beside 255, from 0 up;
            None where the values are the class numbers.
    """

    expects: str
    place: Callable[[Path, str], Path]
    splits: Callable[[Path], list[str]]
    pairs: Callable[[Path, str], list[Pair]]
    classes: int | None = None
    values: Mapping[int, int] | None = None


class Dataset:
    """Labelled images, read on demand and kept in memory once read, as far as they fit.

    Args:
        pairs: the files; all of them must be there.
        classes: how many classes the labels have.
        values: as in `Layout`.
        keep: bytes of samples to keep in memory. A kept sample stays: one pass after the other
            would find nothing in a cache that drops the oldest.

    Raises:
        LcTrtError: here, where a file is missing; when a sample is read, where it is no image, its
            label map has another size or holds a value that is no class.
    """

    def __init__(
        self,
        pairs: Sequence[Pair],
        classes: int,
        values: Mapping[int, int] | None = None,
        *,
        keep: int = KEEP_BYTES,
    ) -> None:
        # All at once: training must not stop in its second hour because of a missing file.
        for pair in pairs:
            if not pair.image.is_file():
                raise LcTrtError(f"{pair.image}: no such file; expected the image {pair.name!r}")
            if not pair.label.is_file():
                raise LcTrtError(
                    f"{pair.label}: no such file; expected the label map of {pair.image.name}"
                )
        self.pairs, self.classes, self.keep = list(pairs), classes, keep
        self._values = {i: i for i in range(classes)} if values is None else dict(values)
        self._decode = np.full(256, IGNORE, np.uint8)
        self._decode[list(self._values)] = list(self._values.values())
        self._known = np.zeros(256, np.bool_)
        self._known[[*self._values, IGNORE]] = True
        self._samples: dict[int, Sample] = {}
        self._kept = 0

    def __len__(self) -> int:
        return len(self.pairs)

    def __getitem__(self, i: int) -> Sample:
        if i in self._samples:
            return self._samples[i]
        sample = self._read(self.pairs[i])
        size = sample.image.nbytes + sample.label.nbytes
        if self._kept + size <= self.keep:
            self._samples[i] = sample
            self._kept += size
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
                f"{pair.label}: {label.dtype} {label.shape}, expected uint8 {image.shape[:2]}, one "
                f"class number a pixel of {pair.image.name}, in grey or through a palette"
            )
        known = self._known[label]
        if not known.all():
            raise LcTrtError(
                f"{pair.label}: value {int(label[~known][0])}, expected 0 to {max(self._values)} "
                f"or {IGNORE}"
            )
        return Sample(pair.name, np.asarray(image, np.uint8), self._decode[label])


def read_values(path: Path) -> npt.NDArray[np.generic]:
    """What an image file stores for each pixel; of a palette PNG, the indices.

    OpenCV turns a palette into colours, so Pillow reads those files: its indices are right
    whatever colours the palette has, and a look-up by colour is not.
    """
    with path.open("rb") as file:
        head = file.read(26)
    if head.startswith(b"\x89PNG") and head[25:] == b"\x03":  # IHDR's colour type: palette
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
            f"{path}: a palette PNG, and Pillow, which reads its indices, is not installed; "
            "install it: pip install pillow"
        ) from error
    try:
        with pillow.open(path) as picture:
            return np.array(picture)
    except (OSError, SyntaxError, ValueError) as error:  # Pillow's words for a damaged file
        raise LcTrtError(f"{path}: not a readable image") from error
