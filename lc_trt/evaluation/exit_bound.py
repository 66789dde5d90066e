"""Chooses a bundle's default thresholds so that early exit changes no more than allowed.

The candidates are a path of threshold pairs, chosen on a few images of their own; the bound is then
computed on the others (docs/bounded-exits.md).
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import asdict, dataclass, replace
from pathlib import Path
from typing import Any

import numpy as np

from lc_trt.backends.load import load
from lc_trt.bundle.bundle import check_out, read_bundle, rewrite_bundle
from lc_trt.bundle.exit_bound import CONFORMAL, EMPIRICAL, TESTED, ExitBound
from lc_trt.data.metrics import Shares
from lc_trt.errors import LcTrtError, UsageError
from lc_trt.evaluation.exit_losses import ExitLosses, LabelsChanged, Measured, MiouLost
from lc_trt.evaluation.exit_path import NO_EXIT, ExitPath, find_path
from lc_trt.evaluation.pareto_search import Rho
from lc_trt.evaluation.risk_control import (
    ConformalRiskControl,
    Empirical,
    LearnThenTest,
    RiskControl,
    running_maximum,
)
from lc_trt.runtime.segmenter import Segmenter
from lc_trt.utils.progress import SILENT, ProgressMonitor
from lc_trt.video.frame_set import find_frames

LIMIT = 1000  # images
_PART, _FEWEST, _MOST = 10, 8, 32  # one image in ten for the path, within these limits
_FLOOR = 20  # the loss that candidates lie around is at least the limit divided by this
_FORMS = {ConformalRiskControl: CONFORMAL, LearnThenTest: TESTED, Empirical: EMPIRICAL}


@dataclass(frozen=True)
class Options:
    """What to keep to, and how to choose.

    Attributes:
        control: the limit and the form of the bound; `Empirical` for mIoU.
        labels: folder of label maps, for mIoU; None for the share of labels changed.
        limit: number of images, evenly spaced.
        grid: number of thresholds per boundary of the grid on which candidates are chosen.
        threads: CPU threads; None for all.
        device: as of `lc_trt.load`.
    """

    control: RiskControl
    labels: Path | None = None
    limit: int = LIMIT
    grid: int = 7
    threads: int | None = None
    device: str | None = None


@dataclass(frozen=True)
class Candidate:
    """A pair of thresholds on the path.

    Attributes:
        rho: thresholds of boundaries 1|2 and 2|3.
        shares: mean shares of pixels that exit at each stage, 0 to 1.
        ms: milliseconds per image in the engine, from a line fitted to measured times.
        loss: the measure of the bound, with the running maximum along the path.
        value: the statistic that was compared: for conformal risk control the loss with the
            finite-sample term, for learn then test the p-value.
    """

    rho: Rho
    shares: Shares
    ms: float
    loss: float
    value: float


@dataclass(frozen=True)
class BoundedExits:
    """Result of the choice.

    Attributes:
        bound: as stored in the bundle, whose default thresholds are now `ExitBound.rho`.
        before: the default thresholds until then.
        candidates: the path, from the cheapest thresholds to no early exit.
        level: the largest accepted `Candidate.value`.
        uneven: median relative residual of the times from which ``ms`` was fitted.
    """

    bound: ExitBound
    before: Rho
    candidates: tuple[Candidate, ...]
    level: float
    uneven: float

    def as_dict(self) -> dict[str, Any]:
        """Values for ``--json``."""
        return asdict(self)


def bound_exits(
    model: Path, images: Path, options: Options, *, monitor: ProgressMonitor = SILENT
) -> BoundedExits:
    """Choose the cheapest thresholds that keep to a limit, and make them the bundle's default.

    Args:
        model: bundle of a cascade; its default thresholds and its bound are replaced atomically.
        images: as of `lc_trt.video.frame_set.find_frames`; with labels, a folder of images.
        options: what to keep to.
        monitor: shows progress, and warns of unreadable images and of frames of videos.

    Returns:
        The stored bound and all candidates.

    Raises:
        LcTrtError: unusable bundle or images, too few images for the bound, no thresholds with
            early exit that keep to it, or the bundle cannot be written.
        UsageError: a dense network.
    """
    bundle = read_bundle(model)
    check_out(bundle.path)
    manifest, control = bundle.manifest, options.control
    if manifest.default_rho is None or manifest.fast_rho is None:
        raise UsageError(f"{model}: a dense network has no thresholds to tune")
    losses = open_losses(images, options, len(manifest.classes))
    check_count(images, control, losses.count(), losses.path_images, options.limit)
    if losses.clips:
        monitor.warn(
            f"{images}: frames of a video are like each other and not like those of another day; "
            f"the bound holds for frames drawn from {losses.clips} videos as these were"
        )
    with load(model, device=options.device, threads=options.threads) as segmenter:
        path = choose_path(segmenter, losses, options, losses.count(), monitor)
        measured = losses.measure_losses(segmenter, path.rhos, monitor)
    candidates, chosen = choose(measured, path, control)
    if chosen is None:  # too few images could be read
        check_count(images, control, measured.images, losses.path_images, options.limit)
    if chosen is None or candidates[chosen].rho == NO_EXIT:
        raise LcTrtError(_hopeless(images, candidates, measured, control))
    bound = ExitBound(
        measure=losses.measure,
        limit=control.alpha,
        form=_FORMS[type(control)],
        confidence=control.confidence if isinstance(control, LearnThenTest) else None,
        rho=candidates[chosen].rho,
        measured=candidates[chosen].loss,
        images=measured.images,
        path_images=losses.path_images,
        clips=losses.clips,
        origin=losses.origin,
        images_sha256=losses.digest,
    )
    rewrite_bundle(bundle, manifest=replace(manifest, default_rho=bound.rho, bound=bound))
    if not all(fast <= rho for fast, rho in zip(manifest.fast_rho, bound.rho, strict=True)):
        monitor.warn(
            f"{model}: the fast thresholds {_text(manifest.fast_rho)} are not below the new "
            f"default ones, {_text(bound.rho)}; choose others with lc-trt build --fast-rho"
        )
    return BoundedExits(bound, manifest.default_rho, candidates, control.level, path.uneven)


def open_losses(images: Path, options: Options, classes: int) -> ExitLosses:
    """Open the images.

    Args:
        images: as of `bound_exits`.
        options: ``labels`` and ``limit``.
        classes: number of classes of the label maps.

    Raises:
        LcTrtError: unusable images or label maps.
    """
    if options.labels is not None:
        return MiouLost(images, options.labels, classes, options.limit, _MOST)
    frames = find_frames(images, options.limit)
    return LabelsChanged(frames, path_count(len(frames)))


def path_count(images: int) -> int:
    """Number of images, of all, on which the path is chosen.

    Args:
        images: number of all images.
    """
    return min(max(images // _PART, _FEWEST), _MOST, images)


def check_count(
    images: Path, control: RiskControl, count: int, path_images: int, limit: int
) -> None:
    """Raise if a bound cannot hold on so few images whatever the thresholds.

    Args:
        images: as of `bound_exits`.
        control: limit and form of the bound.
        count: number of images on which the losses are measured.
        path_images: number of images on which only the path is chosen.
        limit: largest number of images that was asked for.

    Raises:
        LcTrtError: says how many images it takes.
    """
    fewest = control.fewest_images()
    if fewest is not None and count >= fewest:
        return
    expected = "a larger limit"
    if fewest is not None:
        path = next(n for n in range(_FEWEST, _MOST + 1) if path_count(fewest + n) <= n)
        expected = f"at least {fewest + path}, {path} of which only serve to choose the candidates"
        if fewest + path > limit:
            expected += f" (and --limit {fewest + path})"
        expected += ", or a larger limit"
    raise LcTrtError(
        f"{images}: {count + path_images} images are too few for {_asked(control)}, whatever the "
        f"thresholds; expected {expected}"
    )


def choose_path(
    segmenter: Segmenter,
    losses: ExitLosses,
    options: Options,
    count: int,
    monitor: ProgressMonitor = SILENT,
) -> ExitPath:
    """Choose the candidates, around the largest loss that the bound allows on so many images.

    Args:
        segmenter: the cascade.
        losses: has the images for the path.
        options: ``control`` and ``grid``.
        count: number of images of the choice, as many as `check_count` asks for.
        monitor: shows progress.

    Raises:
        LcTrtError: unreadable images, or no labelled pixel.
    """
    aim = max(options.control.largest_mean(count) or 0, options.control.alpha / _FLOOR)
    samples = losses.path_samples(segmenter, monitor)
    return find_path(segmenter, samples, losses.quality, aim, options.grid, monitor)


def choose(
    measured: Measured, path: ExitPath, control: RiskControl
) -> tuple[tuple[Candidate, ...], int | None]:
    """Compute the statistic of each candidate, and choose the cheapest that is accepted.

    Args:
        measured: losses along the path.
        path: the candidates.
        control: limit and form of the bound.

    Returns:
        The candidates, and the index of the chosen one; None if not even `NO_EXIT` is accepted.
    """
    # In random order, as some forms need; files may be sorted by time or place.
    losses = np.random.default_rng(0).permutation(running_maximum(measured.losses))
    candidates = tuple(
        Candidate(rho, shares, path.ms(shares), float(loss), float(value))
        for rho, shares, loss, value in zip(
            path.rhos, measured.shares, losses.mean(axis=0), control.values(losses), strict=True
        )
    )
    return candidates, control.choose(losses)


def _asked(control: RiskControl) -> str:
    limit = f"{100 * control.alpha:g}"
    if isinstance(control, Empirical):
        return f"--max-drop {limit}"
    if isinstance(control, LearnThenTest):
        return f"--max-changed {limit} --confidence {control.confidence:g}"
    return f"--max-changed {limit}"


def _hopeless(
    images: Path, candidates: Sequence[Candidate], measured: Measured, control: RiskControl
) -> str:
    """The message that no thresholds with early exit keep to the limit."""
    safest = candidates[-2]
    unit = "points of mIoU are lost" if isinstance(control, Empirical) else "% of labels change"
    more = control.fewest_images(safest.loss)
    enough = f"at least {more} images besides those to choose candidates on, or " if more else ""
    return (
        f"{images}: no thresholds with early exit keep to {_asked(control)} on {measured.images} "
        f"images: {100 * safest.loss:.2g} {unit} even at {_text(safest.rho)}; expected {enough}a "
        "larger limit"
    )


def _text(rho: Rho) -> str:
    return f"{rho[0]:g},{rho[1]:g}"
