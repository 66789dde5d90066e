"""Measures what early exit changes along a path of thresholds, with or without label maps."""

from __future__ import annotations

from abc import ABC, abstractmethod
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from pathlib import Path

import numpy as np

from lc_trt.bundle.exit_bound import LABELS_CHANGED, MIOU_LOST
from lc_trt.data.images import ImageList, list_images, skip_unreadable, spread
from lc_trt.data.metrics import Confusion, Shares, mean_shares
from lc_trt.evaluation.data import Samples, Subset, open_label_maps
from lc_trt.evaluation.exit_path import run_path
from lc_trt.evaluation.pareto_search import AGREEMENT, MIOU, Rho, label_without_exits
from lc_trt.evaluation.risk_control import Floats
from lc_trt.runtime.segmenter import Segmenter
from lc_trt.utils.progress import SILENT, ProgressMonitor
from lc_trt.video.frame_set import FrameSet

_PHASE = "measuring the candidates"


@dataclass(frozen=True)
class Measured:
    """Measurements along a path.

    Attributes:
        losses: float64 [n, points], one row per image, or a single one for all images together.
        shares: per point, the mean shares of pixels that exit at each stage.
        images: number of images.
    """

    losses: Floats
    shares: tuple[Shares, ...]
    images: int


class ExitLosses(ABC):
    """Images, on which losses of early exit are measured.

    Attributes:
        measure: `lc_trt.bundle.exit_bound.LABELS_CHANGED` or ``MIOU_LOST``.
        quality: the same for `lc_trt.evaluation.exit_path.find_path`.
        origin: description of the images.
        digest: SHA-256 of their list.
        clips: number of videos that they are frames of; 0 for still images.
        path_images: number of images of `path_samples`.
    """

    measure: str
    quality: str
    origin: str
    digest: str
    path_images: int
    clips: int = 0

    @abstractmethod
    def count(self) -> int:
        """Number of images of `measure_losses`, if all can be read."""

    @abstractmethod
    def path_samples(self, segmenter: Segmenter, monitor: ProgressMonitor = SILENT) -> Samples:
        """Labelled images on which to choose the path.

        Args:
            segmenter: the cascade.
            monitor: shows progress.
        """

    @abstractmethod
    def measure_losses(
        self, segmenter: Segmenter, rhos: Sequence[Rho], monitor: ProgressMonitor = SILENT
    ) -> Measured:
        """Run all images at all thresholds.

        Args:
            segmenter: the cascade.
            rhos: the path; its last thresholds are the reference, without early exit.
            monitor: shows progress, and warns of unreadable images.
        """


class LabelsChanged(ExitLosses):
    """The share of an image's labels that early exit changes, at the size of the image.

    Args:
        frames: all images.
        path_images: number of images for the path, evenly spread; the losses are measured on the
            others, since a bound needs a path that was chosen without them.
    """

    measure, quality = LABELS_CHANGED, AGREEMENT

    def __init__(self, frames: FrameSet, path_images: int) -> None:
        self.origin, self.digest, self.clips = frames.origin, frames.digest, frames.clips
        chosen = set(spread(len(frames), path_images))
        self.path_images = len(chosen)
        self._path = frames.select(sorted(chosen))
        self._frames = frames.select([i for i in range(len(frames)) if i not in chosen])
        self._files = ImageList(frames.origin, tuple(a.file for a in frames.addresses))
        self._skipped: list[str] = []

    def count(self) -> int:
        """See `ExitLosses.count`."""
        return len(self._frames)

    def path_samples(self, segmenter: Segmenter, monitor: ProgressMonitor = SILENT) -> Samples:
        """See `ExitLosses.path_samples`; labelled by the network without early exit."""
        images = [image for _, image in self._path.read(self._skip(monitor))]
        return label_without_exits(segmenter, images, monitor)

    def measure_losses(
        self, segmenter: Segmenter, rhos: Sequence[Rho], monitor: ProgressMonitor = SILENT
    ) -> Measured:
        """See `ExitLosses.measure_losses`; one row of losses per image."""
        losses, shares = [], []
        with monitor.phase(_PHASE, len(self._frames)) as advance:
            images = self._frames.read(self._skip(monitor))
            for _, results in run_path(segmenter, images, rhos):
                reference = results[-1].labels
                losses.append([np.mean(r.labels != reference) for r in results])
                shares.append([r.shares for r in results])
                advance(1)
        return Measured(np.array(losses, np.float64), _means(shares), len(losses))

    def _skip(self, monitor: ProgressMonitor) -> Callable[[Path], None]:
        return lambda file: skip_unreadable(self._files, file, self._skipped, monitor.warn)


class MiouLost(ExitLosses):
    """The mIoU that early exit costs, over all images together.

    Args:
        images: folder of images.
        labels: folder of label maps, NAME.png for each image.
        classes: number of classes.
        limit: number of images, evenly spread.
        path_images: number of images for the path, evenly spread over these. They are measured too:
            the result is empirical in any case.

    Raises:
        LcTrtError: no such folder, no images in it, or a missing label map.
    """

    measure, quality = MIOU_LOST, MIOU

    def __init__(
        self, images: Path, labels: Path, classes: int, limit: int, path_images: int
    ) -> None:
        self._samples = open_label_maps(images, labels, classes, limit)
        self.path_images = len(spread(len(self._samples), path_images))
        self.origin, self.digest = images.resolve().name, list_images(images).subset(limit).digest

    def count(self) -> int:
        """See `ExitLosses.count`."""
        return len(self._samples)

    def path_samples(self, segmenter: Segmenter, monitor: ProgressMonitor = SILENT) -> Samples:
        """See `ExitLosses.path_samples`; with their label maps."""
        return Subset(self._samples, spread(len(self._samples), self.path_images))

    def measure_losses(
        self, segmenter: Segmenter, rhos: Sequence[Rho], monitor: ProgressMonitor = SILENT
    ) -> Measured:
        """See `ExitLosses.measure_losses`; one row of losses, of all images together."""
        confusions = [Confusion(self._samples.classes) for _ in rhos]
        shares = []
        with monitor.phase(_PHASE, len(self._samples)) as advance:
            images = ((sample.label, sample.image) for sample in self._samples)
            for label, results in run_path(segmenter, images, rhos):
                for confusion, result in zip(confusions, results, strict=True):
                    confusion.add(result.labels, label)
                shares.append([r.shares for r in results])
                advance(1)
        miou = np.array([confusion.miou() for confusion in confusions])
        return Measured((miou[-1] - miou)[None], _means(shares), len(self._samples))


def _means(shares: Sequence[Sequence[Shares | None]]) -> tuple[Shares, ...]:
    """The mean over images of the shares at each point."""
    return tuple(mean_shares([s for s in point if s]) for point in zip(*shares, strict=True))
