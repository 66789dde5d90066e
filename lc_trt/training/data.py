"""Labelled images from folders: ROOT/SPLIT/images/NAME.jpg and ROOT/SPLIT/labels/NAME.png."""

from __future__ import annotations

import math
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

import cv2
import numpy as np
import numpy.typing as npt

from lc_trt.classes import IGNORE
from lc_trt.errors import LcTrtError

IMAGE_SUFFIXES = (".jpg", ".jpeg", ".png", ".bmp", ".webp")
Image = npt.NDArray[np.uint8]


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


class FolderDataset:
    """The samples of one split, read on demand and kept in memory once read."""

    def __init__(self, root: str | Path, split: str, classes: int) -> None:
        folder = Path(root) / split / "images"
        if not folder.is_dir():
            raise LcTrtError(f"{folder}: no such folder; expected ROOT/{split}/images and /labels")
        self.images = sorted(p for p in folder.iterdir() if p.suffix.lower() in IMAGE_SUFFIXES)
        if not self.images:
            raise LcTrtError(f"{folder}: holds no image ({', '.join(IMAGE_SUFFIXES)})")
        self.classes = classes
        self._samples: dict[int, Sample] = {}

    def __len__(self) -> int:
        return len(self.images)

    def __getitem__(self, i: int) -> Sample:
        if i not in self._samples:
            self._samples[i] = self._read(self.images[i])
        return self._samples[i]

    def __iter__(self) -> Iterator[Sample]:
        return (self[i] for i in range(len(self)))

    def _read(self, path: Path) -> Sample:
        label_path = path.parent.parent / "labels" / f"{path.stem}.png"
        image = cv2.imread(str(path), cv2.IMREAD_COLOR)
        if image is None:
            raise LcTrtError(f"{path}: not a readable image")
        if not label_path.is_file():  # asked first: OpenCV warns on stderr by itself
            raise LcTrtError(f"{label_path}: no such file; expected the label map of {path.name}")
        label = cv2.imread(str(label_path), cv2.IMREAD_UNCHANGED)
        if label is None:
            raise LcTrtError(f"{label_path}: not a readable image")
        if label.dtype != np.uint8 or label.shape != image.shape[:2]:
            raise LcTrtError(
                f"{label_path}: {label.dtype} {label.shape}, expected uint8 {image.shape[:2]} "
                "as its image (a palette PNG reads as colours: store class numbers as grey)"
            )
        wrong = label[(label >= self.classes) & (label != IGNORE)]
        if wrong.size:
            raise LcTrtError(
                f"{label_path}: value {int(wrong[0])}, expected 0 to {self.classes - 1} or {IGNORE}"
            )
        return Sample(path.stem, np.asarray(image, np.uint8), np.asarray(label, np.uint8))


def class_weights(dataset: FolderDataset) -> npt.NDArray[np.float32]:
    """Loss weight a class, ``1 / log(1.1 + share of pixels)`` scaled to mean 1.

    The logarithm bounds the weight of rare classes (ENet, A. Paszke et al., 2016, eq. in 5.2,
    with 1.1 for its 1.02).
    """
    counts = np.zeros(256, np.int64)
    for sample in dataset:
        counts += np.bincount(sample.label.reshape(-1), minlength=256)
    counts = counts[: dataset.classes]
    weights = 1.0 / np.log(1.1 + counts / max(1, counts.sum()))
    return np.asarray(weights / weights.mean(), np.float32)


def augment(
    sample: Sample,
    crop: tuple[int, int],
    scale: tuple[float, float],
    rng: np.random.Generator,
    aspect: float = 1.0,
) -> tuple[Image, Image]:
    """Random scale, stretch, mirror, colour and crop; short sides are padded (label 255).

    ``aspect`` is how much longer one axis may get against the other: an engine stretches frames
    of any shape to its own.

    Returns:
        uint8 [h, w, 3] and uint8 [h, w] of exactly ``crop`` = (h, w).
    """
    factor = float(rng.uniform(*scale))
    stretch = math.sqrt(aspect) ** float(rng.uniform(-1, 1))
    height, width = sample.label.shape
    size = (round(width * factor * stretch), round(height * factor / stretch))
    image = cv2.resize(sample.image, size, interpolation=cv2.INTER_LINEAR)
    label = cv2.resize(sample.label, size, interpolation=cv2.INTER_NEAREST)
    if rng.random() < 0.5:
        image, label = image[:, ::-1], label[:, ::-1]
    h, w = crop
    pad_h, pad_w = max(0, h - image.shape[0]), max(0, w - image.shape[1])
    if pad_h or pad_w:
        image = cv2.copyMakeBorder(image, 0, pad_h, 0, pad_w, cv2.BORDER_REFLECT)
        label = cv2.copyMakeBorder(label, 0, pad_h, 0, pad_w, cv2.BORDER_CONSTANT, value=IGNORE)
    y = int(rng.integers(0, image.shape[0] - h + 1))
    x = int(rng.integers(0, image.shape[1] - w + 1))
    image, label = image[y : y + h, x : x + w], label[y : y + h, x : x + w]
    gain, offset = rng.uniform(0.7, 1.3), rng.uniform(-20, 20)
    tint = rng.uniform(0.92, 1.08, 3)
    coloured = np.clip(image.astype(np.float32) * (gain * tint) + offset, 0, 255)
    return coloured.astype(np.uint8), np.ascontiguousarray(label)


class Batches:
    """Endless shuffled, augmented batches; step ``i`` of a seed is always the same batch."""

    def __init__(
        self,
        dataset: FolderDataset,
        batch: int,
        crop: tuple[int, int],
        scale: tuple[float, float],
        seed: int,
        aspect: float = 1.0,
    ) -> None:
        self.dataset, self.batch, self.seed = dataset, batch, seed
        self.crop, self.scale, self.aspect = crop, scale, aspect
        self.steps_per_epoch = max(1, len(dataset) // batch)

    def __getitem__(self, step: int) -> tuple[Image, Image]:
        """uint8 [B, h, w, 3] images and uint8 [B, h, w] labels."""
        epoch, place = divmod(step, self.steps_per_epoch)
        order = np.random.default_rng((self.seed, epoch)).permutation(len(self.dataset))
        rng = np.random.default_rng((self.seed, epoch, place))
        chosen = np.resize(order, len(self.dataset) + self.batch)[
            place * self.batch : (place + 1) * self.batch
        ]
        samples = (self.dataset[int(i)] for i in chosen)
        pairs = [augment(sample, self.crop, self.scale, rng, self.aspect) for sample in samples]
        return np.stack([p[0] for p in pairs]), np.stack([p[1] for p in pairs])
