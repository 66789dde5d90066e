"""Measures a cascade at a grid of two thresholds and stores the Pareto front in its bundle."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt

from lc_trt.bundle.bundle import check_out, read_bundle
from lc_trt.bundle.pareto_front import Front, FrontPoint, store_front
from lc_trt.data.datasets.base import Dataset, Pair, Sample
from lc_trt.data.images import list_images, spread
from lc_trt.errors import LcTrtError, UsageError
from lc_trt.evaluation.data import Samples, Subset
from lc_trt.evaluation.runner import Progress, machine, silent
from lc_trt.evaluation.stages import Shares
from lc_trt.evaluation.sweep import Point, passes, sweep
from lc_trt.runtime.segmenter import Segmenter, load
from lc_trt.video import sample_frames as content

Rho = tuple[float, float]
MIOU, AGREEMENT = "mIoU", "labels equal to those of rho 1"
UNEVEN = 0.1  # median deviation of the times from the line through them, from which on to warn


@dataclass(frozen=True)
class Options:
    """What to measure.

    Attributes:
        labels: folder of label maps, NAME.png each; None compares with rho 1 instead.
        limit: so many images, evenly spread.
        grid: thresholds a boundary.
        top: the thresholds up to which to measure; None for the bundle's default ones.
        threads: CPU threads, None for all.
        device: as `lc_trt.load` takes it.
    """

    labels: Path | None = None
    limit: int = 16
    grid: int = 7
    top: Rho | None = None
    threads: int | None = None
    device: str | None = None


@dataclass(frozen=True)
class Tuned:
    """What was measured.

    Attributes:
        front: what was stored.
        points: every pair of the grid, as a point of the front.
        uneven: median deviation of the times measured from the line through them, 0 to 1.
    """

    front: Front
    points: tuple[FrontPoint, ...]
    uneven: float

    def as_dict(self) -> dict[str, Any]:
        """What ``--json`` prints."""
        return {
            **asdict(self.front),
            "uneven": round(self.uneven, 4),
            "measured": [asdict(point) for point in self.points],
        }


def tune(model: Path, images: Path, options: Options, *, progress: Progress = silent) -> Tuned:
    """Measure shares, time and quality at pairs of thresholds, and store the front in the bundle.

    Args:
        model: a bundle of a cascade; it is replaced by itself with the front in it, or left as it
            was.
        images: what `lc_trt.video.sample_frames.load_frames` takes; with labels a folder.

    Raises:
        LcTrtError: the bundle or the images cannot be used, the bundle cannot be written, or the
            thresholds change neither time nor quality.
        UsageError: a dense network, or a top below the fast thresholds.
    """
    bundle = read_bundle(model)
    check_out(bundle.path)
    with load(model, device=options.device, threads=options.threads) as segmenter:
        fast, top = _ends(model, segmenter, options.top)
        found = _labelled(images, options, segmenter) if options.labels else None
        frames = (
            None if found else content.load_frames(images, options.limit, segmenter.engine.size)
        )
        count = len(found or frames or ())
        total = 2 * count + (0 if found else count) + passes(count, [fast] * options.grid**2)
        with progress("tuning", total) as advance:
            samples = found or _compared_with_full(segmenter, frames or [], advance)
            pairs = choose_pairs(segmenter, samples, fast, top, options.grid, advance)
            points = sweep(segmenter, samples, pairs, advance=advance)
        batch = segmenter.engine.smallest[0]
    made, uneven = _fitted(points, MIOU if found else AGREEMENT, batch)
    front = Front(
        tuple(pareto(made, fast)),
        top,
        MIOU if found else AGREEMENT,
        count,
        content.describe(images),
        machine(options.threads),
    )
    if len(front.points) < 2:
        raise LcTrtError(
            f"{model}: no thresholds up to {top[0]:g},{top[1]:g} were slower and better than its "
            f"fast ones {fast[0]:g},{fast[1]:g} on these images ({front.measure}), so there is "
            "nothing to choose between; take other images"
        )
    store_front(bundle, front)
    return Tuned(front, tuple(made), uneven)


def choose_pairs(
    segmenter: Segmenter,
    samples: Samples,
    fast: Rho,
    top: Rho,
    grid: int,
    advance: Callable[[int], None] = lambda passes: None,
) -> list[Rho]:
    """Every one of the first thresholds with every one of the second, from fast to top.

    Between the ends they are quantiles of the images' confidences, so that from one to the next
    about as many pixels more stay: evenly spaced thresholds would differ in nothing for most of the
    way, and in everything near 1.
    """
    first, second = [], []
    for sample in samples:
        first.append(segmenter(sample.image, (0.0, 0.0)).cell_confidence.ravel())
        result = segmenter(sample.image, (top[0], 0.0))
        second.append(result.cell_confidence[result.cell_stages == 2])
        advance(2)
    ones = _between(np.concatenate(first), fast[0], top[0], grid)
    twos = _between(np.concatenate(second), fast[1], top[1], grid)
    return [(one, two) for one in ones for two in twos]


def pareto(points: Sequence[FrontPoint], fast: Rho) -> list[FrontPoint]:
    """The points that none beats in both time and quality, from the fast thresholds on."""
    found = [p for p in points if p.rho == fast]
    # Of several as fast, the best first: the others are then no better.
    for point in sorted(points, key=lambda p: (p.ms, -p.quality)):
        if point.ms > found[-1].ms and point.quality > found[-1].quality:
            found.append(point)
    return found


def fit(shares: Sequence[Shares], times: Sequence[float]) -> npt.NDArray[np.float64]:
    """Milliseconds of stage 1, and of stages 2 and 3 if all pixels reach them; none below 0.

    Least squares of the relative errors. The time of a stage goes with the rows it computes; a time
    of its own for each pair of thresholds would carry the noise of the machine into the choice.
    """
    reached = np.array([(1.0, s[1] + s[2], s[2]) for s in shares])
    weights = 1 / np.array(times)
    best, least = np.zeros(3), np.inf
    for columns in ([0, 1, 2], [0, 1], [0, 2], [0]):  # a cost below 0 is noise around 0
        part = reached[:, columns] * weights[:, None]
        cost = np.zeros(3)
        cost[columns] = np.linalg.lstsq(part, np.ones(len(part)))[0]
        error = float(np.square(reached @ cost * weights - 1).sum())
        if cost.min() >= 0 and error < least:
            best, least = cost, error
    return best


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


def _labelled(images: Path, options: Options, segmenter: Segmenter) -> Samples:
    assert options.labels is not None
    for folder, option in ((images, "--images"), (options.labels, "--labels")):
        if not folder.is_dir():
            raise LcTrtError(f"{option} {folder}: no such folder; expected one of images")
    files = list_images(images).files
    pairs = [Pair(p.stem, p, options.labels / f"{p.stem}.png") for p in files]
    found = Dataset(pairs, len(segmenter.manifest.classes))
    return Subset(found, spread(len(found), options.limit))


class _Kept:
    """Samples in memory."""

    def __init__(self, samples: list[Sample], classes: int) -> None:
        self.samples, self.classes = samples, classes

    def __len__(self) -> int:
        return len(self.samples)

    def __getitem__(self, i: int) -> Sample:
        return self.samples[i]

    def __iter__(self) -> Iterator[Sample]:
        return iter(self.samples)


def _compared_with_full(
    segmenter: Segmenter, frames: Sequence[npt.NDArray[np.uint8]], advance: Callable[[int], None]
) -> Samples:
    """Frames whose labels are what the network says where no pixel leaves early."""
    samples = []
    for i, frame in enumerate(frames):
        samples.append(Sample(str(i), frame, segmenter(frame, 1.0).labels))
        advance(1)
    return _Kept(samples, len(segmenter.manifest.classes))


def _between(confidences: npt.NDArray[Any], low: float, high: float, count: int) -> list[float]:
    """At most ``count`` thresholds from ``low`` to ``high``, ends included, in rising order."""
    if low == high or not len(confidences):
        return sorted({low, high})
    most, least = (float((confidences > end).mean()) for end in (low, high))
    wanted = np.quantile(confidences, 1 - np.linspace(most, least, count)[1:-1])
    inner = {round(float(t), 5) for t in wanted}
    return sorted({low, high, *(t for t in inner if low < t < high)})


def _fitted(points: Sequence[Point], measure: str, batch: int) -> tuple[list[FrontPoint], float]:
    """As points of a front, with the times of the line through them, and how far they lie off."""
    measured = [point.engine_ms / batch for point in points]
    cost = fit([point.shares for point in points], measured)
    made = []
    for point, ms in zip(points, measured, strict=True):
        _, second, third = point.shares
        time = float(cost @ (1.0, second + third, third))
        quality = point.miou if measure == MIOU else point.pixel_accuracy
        if np.isnan(quality):
            raise LcTrtError("no labelled pixel in the images: there is nothing to compare")
        made.append(
            FrontPoint(point.rho, round(time, 4), round(ms, 4), round(quality, 5), point.shares)
        )
    off = [abs(p.measured_ms / p.ms - 1) for p in made]
    return made, float(np.median(off))
