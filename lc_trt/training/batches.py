"""Augmented batches: step ``i`` of a seed is always the same batch."""

from __future__ import annotations

import math
from collections.abc import Sequence
from concurrent.futures import Future, ThreadPoolExecutor
from pathlib import Path

import cv2
import numpy as np
import numpy.typing as npt

from lc_trt.data.classes import IGNORE
from lc_trt.data.datasets import Dataset, Sample
from lc_trt.data.images import read_image
from lc_trt.errors import LcTrtError
from lc_trt.training.config import Augment

Image = npt.NDArray[np.uint8]
BLURRED = 0.25  # part of the images, where blur is on


def class_weights(dataset: Dataset) -> npt.NDArray[np.float32]:
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


def jitter_colour(image: Image, strength: float, rng: np.random.Generator) -> Image:
    """Random brightness, contrast, saturation and white balance of a BGR image.

    Each of the first three is a factor from 1 - strength to 1 + strength; a channel's gain (the
    light's colour) varies by a quarter of that. 0 changes nothing.
    """
    if strength == 0:
        return np.ascontiguousarray(image)
    gains = rng.uniform(1 - strength, 1 + strength, 3).astype(np.float32)
    brightness, contrast, saturation = gains
    balance = rng.uniform(1 - strength / 4, 1 + strength / 4, 3).astype(np.float32)
    x = image.astype(np.float32) * (brightness * balance)
    grey = x.mean(2, keepdims=True)
    x = grey + saturation * (x - grey)
    x = grey.mean() + contrast * (x - grey.mean())
    return np.asarray(np.clip(x, 0, 255), np.uint8)


def augment(sample: Sample, how: Augment, rng: np.random.Generator) -> tuple[Image, Image]:
    """Random scale, stretch, mirror, crop, blur and colour; short sides are padded (label 255).

    The stretch is there because an engine stretches frames of any shape to its own. The scale is
    drawn evenly over its logarithm, so that halving is as likely as doubling.

    Returns:
        uint8 [h, w, 3] and uint8 [h, w] of exactly ``how.crop`` = (h, w).
    """
    mirror = how.mirror and rng.random() < 0.5
    image, label = (_mirrored(each) if mirror else each for each in (sample.image, sample.label))
    focus = _focus(label, rng) if rng.random() < how.focus else None
    scale = how.scale if focus is None else how.focus_scale
    factor = math.exp(rng.uniform(*np.log(scale)))
    stretch = math.sqrt(how.aspect) ** float(rng.uniform(-1, 1))
    height, width = label.shape
    size = (max(1, round(width * factor * stretch)), max(1, round(height * factor / stretch)))
    scaled = cv2.resize(image, size, interpolation=cv2.INTER_LINEAR)
    classes = cv2.resize(label, size, interpolation=cv2.INTER_NEAREST)
    h, w = how.crop
    pad_h, pad_w = max(0, h - size[1]), max(0, w - size[0])
    if pad_h or pad_w:
        scaled = cv2.copyMakeBorder(scaled, 0, pad_h, 0, pad_w, cv2.BORDER_REFLECT)
        classes = cv2.copyMakeBorder(classes, 0, pad_h, 0, pad_w, cv2.BORDER_CONSTANT, value=IGNORE)
    y = _place(scaled.shape[0], h, None if focus is None else focus[0] * size[1], rng)
    x = _place(scaled.shape[1], w, None if focus is None else focus[1] * size[0], rng)
    cut = scaled[y : y + h, x : x + w]
    if how.blur and rng.random() < BLURRED:
        cut = cv2.GaussianBlur(cut, (0, 0), max(0.1, how.blur * rng.random()))
    coloured = jitter_colour(np.asarray(cut, np.uint8), how.jitter, rng)
    return coloured, np.array(classes[y : y + h, x : x + w], np.uint8)


def _mirrored(image: Image) -> Image:
    return np.ascontiguousarray(image[:, ::-1])


def _focus(label: Image, rng: np.random.Generator) -> tuple[float, float] | None:
    """A pixel (parts of the height and width) of a class drawn evenly from those there are."""
    present = np.unique(label[label != IGNORE])
    if not present.size:
        return None
    places = np.flatnonzero(label == rng.choice(present))
    y, x = divmod(int(rng.choice(places)), label.shape[1])
    return (y + 0.5) / label.shape[0], (x + 0.5) / label.shape[1]


def _place(side: int, crop: int, hold: float | None, rng: np.random.Generator) -> int:
    """Where the crop begins on an axis: anywhere, or so that it holds a pixel, not at its rim."""
    last = side - crop
    if hold is None:
        return int(rng.integers(0, last + 1))
    return int(np.clip(hold - crop * rng.uniform(0.2, 0.8), 0, last))


def unlabelled_sample(path: Path, crop: tuple[int, int]) -> Sample:
    """A photograph as a sample that no label is known of, in a size that the crop just fits into.

    Raises:
        LcTrtError: it cannot be read.
    """
    image = read_image(path)
    if image is None:
        raise LcTrtError(f"{path}: a broken image; remove it from distil.unlabelled")
    factor = max(crop[0] / image.shape[0], crop[1] / image.shape[1])
    size = [max(1, round(side * factor)) for side in image.shape[1::-1]]
    scaled = np.asarray(cv2.resize(image, size, interpolation=cv2.INTER_AREA), np.uint8)
    return Sample(path.name, scaled, np.full(scaled.shape[:2], IGNORE, np.uint8))


class Batches:
    """Endless shuffled batches; an epoch shows no image twice.

    Args:
        batch: images a step, of them at least one of the data set.
        workers: threads that prepare the batches after the one that was asked for; 0 makes each
            when it is asked for. The batches are the same.
        unlabelled: photographs without labels; they come last in a batch, labelled 255.
        part: of the batch that is drawn from them, rounded.
        scale: of them, in place of ``how.scale``; 1 is where the crop just fits into one.
    """

    def __init__(
        self,
        dataset: Dataset,
        batch: int,
        how: Augment,
        seed: int,
        workers: int = 0,
        unlabelled: Sequence[Path] = (),
        part: float = 0.0,
        scale: tuple[float, float] = (1.0, 3.0),
    ) -> None:
        self.dataset, self.how, self.seed = dataset, how, seed
        self.unlabelled, self.how_unlabelled = unlabelled, how.model_copy(update={"scale": scale})
        self.more = min(round(batch * part), batch - 1) if unlabelled else 0
        self.batch = batch - self.more
        self.steps_per_epoch = max(1, len(dataset) // self.batch)
        self._workers, self._ahead = workers, 2 * workers
        self._pool: ThreadPoolExecutor | None = None
        self._waiting: dict[int, Future[tuple[Image, Image]]] = {}

    def __getitem__(self, step: int) -> tuple[Image, Image]:
        """uint8 [B, h, w, 3] images and uint8 [B, h, w] labels."""
        if not self._workers:
            return self._make(step)
        if self._pool is None:
            self._pool = ThreadPoolExecutor(self._workers)
        for i in range(step, step + 1 + self._ahead):
            if i not in self._waiting:
                self._waiting[i] = self._pool.submit(self._make, i)
        batch = self._waiting.pop(step)
        for i in [i for i in self._waiting if not step < i <= step + self._ahead]:
            self._waiting.pop(i).cancel()  # somebody asked for another place
        return batch.result()

    def close(self) -> None:
        """Stop the threads until a batch is asked for again; what they prepared is dropped."""
        if self._pool is not None:
            self._pool.shutdown(cancel_futures=True)
            self._pool = None
            self._waiting.clear()

    def _make(self, step: int) -> tuple[Image, Image]:
        epoch, place = divmod(step, self.steps_per_epoch)
        order = np.random.default_rng((self.seed, epoch)).permutation(len(self.dataset))
        rng = np.random.default_rng((self.seed, epoch, place))
        chosen = np.resize(order, len(self.dataset) + self.batch)[
            place * self.batch : (place + 1) * self.batch
        ]
        pairs = [augment(self.dataset[int(i)], self.how, rng) for i in chosen]
        for path in rng.choice(np.array(self.unlabelled, object), self.more):
            pairs.append(augment(unlabelled_sample(path, self.how.crop), self.how_unlabelled, rng))
        return np.stack([p[0] for p in pairs]), np.stack([p[1] for p in pairs])
