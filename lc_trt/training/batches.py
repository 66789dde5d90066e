"""Augmented training batches, reproducible from the seed and the step number."""

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
from lc_trt.training.photometric import apply_gamma, haze, jitter_colour, noise, shadow

Image = npt.NDArray[np.uint8]
BLUR_PROBABILITY = 0.25  # where blur is on


def count_pixels(dataset: Dataset) -> npt.NDArray[np.int64]:
    """Count the pixels of each class.

    Args:
        dataset: the labelled images to count.

    Returns:
        int64 [classes].
    """
    counts = np.zeros(256, np.int64)
    for sample in dataset:
        counts += np.bincount(sample.label.reshape(-1), minlength=256)
    return counts[: dataset.classes]


def class_weights(counts: npt.NDArray[np.int64]) -> npt.NDArray[np.float32]:
    """Return one loss weight per class: ``1 / log(1.1 + pixel frequency)``, scaled to mean 1.

    The logarithm bounds the weight of rare classes (ENet, A. Paszke et al., 2016, section 5.2, with
    1.1 in place of 1.02).

    Args:
        counts: pixels per class, int64 [classes].

    Returns:
        float32 [classes].
    """
    weights = 1.0 / np.log(1.1 + counts / max(1, counts.sum()))
    return np.asarray(weights / weights.mean(), np.float32)


def augment(sample: Sample, settings: Augment, rng: np.random.Generator) -> tuple[Image, Image]:
    """Apply random scale, aspect ratio, mirroring, crop, blur and color jitter to a sample.

    The aspect ratio varies because an engine stretches frames of any shape to its input size. The
    scale is log-uniform: halving is as likely as doubling. Images smaller than the crop are padded,
    with label 255.

    Args:
        sample: image and label.
        settings: the ``augment`` section of the configuration.
        rng: source of randomness.

    Returns:
        Image, uint8 [h, w, 3], and label, uint8 [h, w], with (h, w) = ``settings.crop``.
    """
    mirror = settings.mirror and rng.random() < 0.5
    image, label = (_mirrored(each) if mirror else each for each in (sample.image, sample.label))
    focus = _draw_focus(label, rng) if rng.random() < settings.focus else None
    scale = settings.scale if focus is None else settings.focus_scale
    factor = math.exp(rng.uniform(*np.log(scale)))
    stretch = math.sqrt(settings.aspect) ** float(rng.uniform(-1, 1))
    height, width = label.shape
    size = (max(1, round(width * factor * stretch)), max(1, round(height * factor / stretch)))
    scaled = cv2.resize(image, size, interpolation=cv2.INTER_LINEAR)
    classes = cv2.resize(label, size, interpolation=cv2.INTER_NEAREST)
    h, w = settings.crop
    pad_h, pad_w = max(0, h - size[1]), max(0, w - size[0])
    if pad_h or pad_w:
        scaled = cv2.copyMakeBorder(scaled, 0, pad_h, 0, pad_w, cv2.BORDER_REFLECT)
        classes = cv2.copyMakeBorder(classes, 0, pad_h, 0, pad_w, cv2.BORDER_CONSTANT, value=IGNORE)
    y = _crop_start(scaled.shape[0], h, None if focus is None else focus[0] * size[1], rng)
    x = _crop_start(scaled.shape[1], w, None if focus is None else focus[1] * size[0], rng)
    cut = scaled[y : y + h, x : x + w]
    if settings.blur and rng.random() < BLUR_PROBABILITY:
        cut = cv2.GaussianBlur(cut, (0, 0), max(0.1, settings.blur * rng.random()))
    image = np.asarray(cut, np.uint8)
    if settings.gamma > 1:
        image = apply_gamma(image, math.exp(rng.uniform(-1, 1) * math.log(settings.gamma)))
    image = jitter_colour(image, settings.jitter, rng)
    for effect in (haze, shadow, noise) if settings.weather else ():
        if rng.random() < settings.weather:
            image = effect(image, rng)
    return image, np.array(classes[y : y + h, x : x + w], np.uint8)


def _mirrored(image: Image) -> Image:
    return np.ascontiguousarray(image[:, ::-1])


def _draw_focus(label: Image, rng: np.random.Generator) -> tuple[float, float] | None:
    """Draw a class of those present, then one of its pixels: (y, x) relative to the image size."""
    present = np.unique(label[label != IGNORE])
    if not present.size:
        return None
    candidates = np.flatnonzero(label == rng.choice(present))
    y, x = divmod(int(rng.choice(candidates)), label.shape[1])
    return (y + 0.5) / label.shape[0], (x + 0.5) / label.shape[1]


def _crop_start(side: int, crop: int, focus: float | None, rng: np.random.Generator) -> int:
    """Draw where the crop begins on one axis; the focus pixel, if any, stays off its border."""
    last = side - crop
    if focus is None:
        return int(rng.integers(0, last + 1))
    return int(np.clip(focus - crop * rng.uniform(0.2, 0.8), 0, last))


def read_unlabelled_sample(path: Path, crop: tuple[int, int]) -> Sample:
    """Read an image as a sample whose pixels are all labelled 255 (ignored).

    Args:
        path: the image file.
        crop: (height, width) in pixels; the image is resized so that the crop just fits into it.

    Returns:
        The resized image and its label.

    Raises:
        LcTrtError: the file is not a readable image.
    """
    image = read_image(path)
    if image is None:
        raise LcTrtError(
            f"{path}: not a readable image; remove it from the folder distil.unlabelled"
        )
    factor = max(crop[0] / image.shape[0], crop[1] / image.shape[1])
    size = [max(1, round(side * factor)) for side in image.shape[1::-1]]
    scaled = np.asarray(cv2.resize(image, size, interpolation=cv2.INTER_AREA), np.uint8)
    return Sample(path.name, scaled, np.full(scaled.shape[:2], IGNORE, np.uint8))


class Batches:
    """An endless sequence of shuffled, augmented batches, indexed by step.

    No labelled image appears twice in an epoch.

    Args:
        dataset: the labelled images.
        batch: images per step; at least one of them is labelled.
        settings: the ``augment`` section of the configuration.
        seed: of shuffling and augmentation.
        workers: threads that prepare upcoming batches; 0 prepares each on demand. The batches do
            not depend on it.
        unlabelled: image files without labels; they come last in a batch, with label 255.
        unlabelled_share: share of the batch drawn from ``unlabelled``, rounded.
        unlabelled_scale: scale range of unlabelled images, in place of ``settings.scale``; at 1 the
            crop just fits into the image.

    Attributes:
        steps_per_epoch: batches per pass over the labelled images.
        unlabelled_count: unlabelled images per batch.
    """

    def __init__(
        self,
        dataset: Dataset,
        batch: int,
        settings: Augment,
        seed: int,
        workers: int = 0,
        unlabelled: Sequence[Path] = (),
        unlabelled_share: float = 0.0,
        unlabelled_scale: tuple[float, float] = (1.0, 3.0),
    ) -> None:
        self._dataset, self._settings, self._seed = dataset, settings, seed
        self._unlabelled = unlabelled
        self._unlabelled_settings = settings.model_copy(update={"scale": unlabelled_scale})
        self.unlabelled_count = min(round(batch * unlabelled_share), batch - 1) if unlabelled else 0
        self._labelled_count = batch - self.unlabelled_count
        self.steps_per_epoch = max(1, len(dataset) // self._labelled_count)
        self._workers, self._lookahead = workers, 2 * workers
        self._pool: ThreadPoolExecutor | None = None
        self._pending: dict[int, Future[tuple[Image, Image]]] = {}

    def __getitem__(self, step: int) -> tuple[Image, Image]:
        """Images, uint8 [B, h, w, 3], and labels, uint8 [B, h, w], of a step."""
        if not self._workers:
            return self._load(step)
        if self._pool is None:
            self._pool = ThreadPoolExecutor(self._workers)
        for i in range(step, step + 1 + self._lookahead):
            if i not in self._pending:
                self._pending[i] = self._pool.submit(self._load, i)
        batch = self._pending.pop(step)
        for i in [i for i in self._pending if not step < i <= step + self._lookahead]:
            self._pending.pop(i).cancel()  # the caller jumped to another step
        return batch.result()

    def close(self) -> None:
        """Stop the threads and drop prepared batches; the next access starts them again."""
        if self._pool is not None:
            self._pool.shutdown(cancel_futures=True)
            self._pool = None
            self._pending.clear()

    def _load(self, step: int) -> tuple[Image, Image]:
        epoch, index = divmod(step, self.steps_per_epoch)
        order = np.random.default_rng((self._seed, epoch)).permutation(len(self._dataset))
        rng = np.random.default_rng((self._seed, epoch, index))
        count = self._labelled_count
        indices = np.resize(order, len(order) + count)[index * count : (index + 1) * count]
        pairs = [augment(self._dataset[int(i)], self._settings, rng) for i in indices]
        for path in rng.choice(np.array(self._unlabelled, object), self.unlabelled_count):
            sample = read_unlabelled_sample(path, self._settings.crop)
            pairs.append(augment(sample, self._unlabelled_settings, rng))
        return np.stack([p[0] for p in pairs]), np.stack([p[1] for p in pairs])
