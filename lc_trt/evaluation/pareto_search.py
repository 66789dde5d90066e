"""Measures a cascade on a grid of threshold pairs and stores the Pareto front in its bundle."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt

from lc_trt.backends.load import load
from lc_trt.bundle.bundle import check_out, read_bundle
from lc_trt.bundle.pareto_front import Front, FrontPoint, pareto_front, store_front
from lc_trt.data.datasets.base import Sample
from lc_trt.data.metrics import Shares
from lc_trt.errors import LcTrtError, UsageError
from lc_trt.evaluation.data import InMemorySamples, Samples, open_label_maps
from lc_trt.evaluation.sweep import Point, sweep
from lc_trt.runtime.segmenter import Segmenter
from lc_trt.utils.environment import describe_environment
from lc_trt.utils.progress import SILENT, ProgressMonitor
from lc_trt.video import sample_frames as content

Rho = tuple[float, float]
MIOU, AGREEMENT = "mIoU", "labels equal to those of rho 1"
LIMIT = 16  # images
UNEVEN = 0.1  # median relative residual of the time model above which to warn


@dataclass(frozen=True)
class Options:
    """Options of the search.

    Attributes:
        labels: folder of label maps, NAME.png each; None measures label agreement with rho 1.
        limit: number of images, evenly spaced.
        grid: number of thresholds per boundary.
        top: largest thresholds to measure; None for the bundle's default thresholds.
        threads: CPU threads; None for all.
        device: as of `lc_trt.load`.
    """

    labels: Path | None = None
    limit: int = LIMIT
    grid: int = 7
    top: Rho | None = None
    threads: int | None = None
    device: str | None = None


@dataclass(frozen=True)
class Tuned:
    """Result of the search.

    Attributes:
        front: the stored Pareto front.
        points: all pairs of the grid.
        uneven: median relative residual of the time model, see `fit`.
    """

    front: Front
    points: tuple[FrontPoint, ...]
    uneven: float

    def as_dict(self) -> dict[str, Any]:
        """Values for ``--json``."""
        return {
            **asdict(self.front),
            "uneven": round(self.uneven, 4),
            "measured": [asdict(point) for point in self.points],
        }


def tune(
    model: Path, images: Path, options: Options, *, monitor: ProgressMonitor = SILENT
) -> Tuned:
    """Measure exit shares, time and quality at pairs of thresholds, and store the Pareto front.

    Args:
        model: bundle of a cascade; the front is added to it atomically.
        images: as of `lc_trt.video.sample_frames.load_frames`; with labels, a folder.
        options: of the search.
        monitor: shows progress.

    Returns:
        The stored front and all measurements.

    Raises:
        LcTrtError: unusable bundle or images, the bundle cannot be written, or the thresholds
            change neither time nor quality.
        UsageError: a dense network, or ``top`` below the fast thresholds.
    """
    bundle = read_bundle(model)
    check_out(bundle.path)
    with load(model, device=options.device, threads=options.threads) as segmenter:
        fast, top = _ends(model, segmenter, options.top)
        if options.labels is not None:
            classes = len(segmenter.manifest.classes)
            samples = open_label_maps(images, options.labels, classes, options.limit)
        else:
            frames = content.load_frames(images, options.limit, segmenter.engine.size)
            samples = label_without_exits(segmenter, frames, monitor)
        pairs = choose_pairs(segmenter, samples, fast, top, options.grid, monitor)
        points = sweep(segmenter, samples, pairs, monitor=monitor)
        batch = segmenter.engine.smallest[0]
    measure = AGREEMENT if options.labels is None else MIOU
    measured, uneven = fit_times(points, measure, batch)
    front = Front(
        tuple(pareto(measured, fast)),
        top,
        measure,
        len(samples),
        content.describe(images),
        describe_environment(options.threads),
    )
    if len(front.points) < 2:
        raise LcTrtError(
            f"{model}: on these images, no thresholds up to {top[0]:g},{top[1]:g} are slower and "
            f"better ({front.measure}) than the fast thresholds {fast[0]:g},{fast[1]:g}; use other "
            "images"
        )
    store_front(bundle, front)
    return Tuned(front, tuple(measured), uneven)


def label_without_exits(
    segmenter: Segmenter,
    frames: Sequence[npt.NDArray[np.uint8]],
    monitor: ProgressMonitor = SILENT,
) -> Samples:
    """Label frames with the network's own output without early exit.

    Args:
        segmenter: the cascade.
        frames: BGR, uint8 [H, W, 3] each.
        monitor: shows progress.
    """
    samples = []
    for i, frame in enumerate(monitor.track("running at rho 1", frames)):
        samples.append(Sample(str(i), frame, segmenter(frame, 1.0).labels))
    return InMemorySamples(samples, len(segmenter.manifest.classes))


def choose_pairs(
    segmenter: Segmenter,
    samples: Samples,
    fast: Rho,
    top: Rho,
    grid: int,
    monitor: ProgressMonitor = SILENT,
) -> list[Rho]:
    """Choose the grid of threshold pairs.

    The thresholds of each boundary are quantiles of the confidences on the images, so that each
    step keeps about the same number of additional pixels; evenly spaced thresholds would change
    little except near 1.

    Args:
        segmenter: the cascade.
        samples: images to take confidences from.
        fast: smallest thresholds.
        top: largest thresholds.
        grid: number of thresholds per boundary.
        monitor: shows progress.

    Returns:
        All combinations of both boundaries' thresholds.
    """
    first, second = boundary_confidences(segmenter, samples, top[0], monitor)
    ones = _between(first, fast[0], top[0], grid)
    twos = _between(second, fast[1], top[1], grid)
    return [(one, two) for one in ones for two in twos]


def boundary_confidences(
    segmenter: Segmenter, samples: Samples, rho: float, monitor: ProgressMonitor = SILENT
) -> tuple[npt.NDArray[np.float32], npt.NDArray[np.float32]]:
    """Confidences that are compared with the thresholds, over all images.

    Args:
        segmenter: the cascade.
        samples: the images.
        rho: threshold of boundary 1|2 for the confidences at boundary 2|3.
        monitor: shows progress.

    Returns:
        Float32 [cells] at boundary 1|2, and of the cells that reach stage 2 at boundary 2|3.
    """
    first, second = [], []
    for sample in monitor.track("choosing thresholds", samples):
        first.append(segmenter(sample.image, (0.0, 0.0)).cell_confidence.ravel())
        result = segmenter(sample.image, (rho, 0.0))
        second.append(result.cell_confidence[result.cell_stages == 2])
    return np.concatenate(first), np.concatenate(second)


def pareto(points: Sequence[FrontPoint], fast: Rho) -> list[FrontPoint]:
    """Select the Pareto front of time and quality, starting at the fast thresholds.

    Args:
        points: measured points.
        fast: fast thresholds, which are among the points.

    Returns:
        Points in ascending time and quality.
    """
    (start,) = (p for p in points if p.rho == fast)
    beyond = [p for p in points if p.ms > start.ms and p.quality > start.quality]
    return [start, *pareto_front(beyond, lambda p: p.ms, lambda p: p.quality)]


def fit(shares: Sequence[Shares], times: Sequence[float]) -> npt.NDArray[np.float64]:
    """Fit a time model: the time of a stage is proportional to the pixels that reach it.

    Minimizes the squared relative error over non-negative costs. Using the model instead of the
    measured times keeps the noise of the machine out of the Pareto front.

    Args:
        shares: exit shares per point.
        times: milliseconds per point.

    Returns:
        float64 [3]: milliseconds of stage 1, and of stages 2 and 3 if all pixels reach them.
    """
    reached = np.array([(1.0, s[1] + s[2], s[2]) for s in shares])
    weights = 1 / np.array(times)
    best, least = np.zeros(3), np.inf
    for columns in (
        [0, 1, 2],
        [0, 1],
        [0, 2],
        [0],
    ):  # a negative cost is noise around 0: try without that stage
        design = reached[:, columns] * weights[:, None]
        cost = np.zeros(3)
        cost[columns] = np.linalg.lstsq(design, np.ones(len(design)))[0]
        error = float(np.square(reached @ cost * weights - 1).sum())
        if cost.min() >= 0 and error < least:
            best, least = cost, error
    return best


def fit_times(points: Sequence[Point], measure: str, batch: int) -> tuple[list[FrontPoint], float]:
    """Convert measured points to points of a front, with times of the fitted model.

    Args:
        points: of a sweep.
        measure: `MIOU` or `AGREEMENT`.
        batch: images per pass.

    Returns:
        The points in the same order, and the median relative residual of the model.

    Raises:
        LcTrtError: no label map has a labelled pixel.
    """
    times = [point.engine_ms / batch for point in points]
    cost = fit([point.shares for point in points], times)
    fitted = []
    for point, ms in zip(points, times, strict=True):
        _, second, third = point.shares
        time = float(cost @ (1.0, second + third, third))
        quality = point.miou if measure == MIOU else point.pixel_accuracy
        if np.isnan(quality):
            raise LcTrtError("no labelled pixel in the images; expected labels other than 255")
        fitted.append(
            FrontPoint(point.rho, round(time, 4), round(ms, 4), round(quality, 5), point.shares)
        )
    residuals = [abs(p.measured_ms / p.ms - 1) for p in fitted]
    return fitted, float(np.median(residuals))


def _ends(model: Path, segmenter: Segmenter, top: Rho | None) -> tuple[Rho, Rho]:
    default, fast = segmenter.manifest.default_rho, segmenter.manifest.fast_rho
    if default is None or fast is None:
        raise UsageError(f"{model}: a dense network has no thresholds to tune")
    top = top or default
    if not (fast[0] <= top[0] and fast[1] <= top[1] and fast != top):
        raise UsageError(
            f"rho {top[0]:g},{top[1]:g}: expected thresholds above the fast ones, "
            f"{fast[0]:g},{fast[1]:g}"
        )
    return fast, top


def _between(confidences: npt.NDArray[Any], low: float, high: float, count: int) -> list[float]:
    """At most ``count`` thresholds from ``low`` to ``high`` inclusive, ascending."""
    if low == high or not len(confidences):
        return sorted({low, high})
    most, least = (float((confidences > end).mean()) for end in (low, high))
    thresholds = np.quantile(confidences, 1 - np.linspace(most, least, count)[1:-1])
    inner = {round(float(t), 5) for t in thresholds}
    return sorted({low, high, *(t for t in inner if low < t < high)})
