"""How far two engines agree on the same images.

A confidence that is NaN or infinite in either engine never counts as agreement: the stage and the
labels of its pixel count as unequal, and their number is reported (``non_finite``).
"""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass
from typing import Protocol

import numpy as np
import numpy.typing as npt

from lc_trt.bundle.sections import Agreement
from lc_trt.runtime.engines.base import Engine


class Maps(Protocol):
    """What is compared: an `EngineOutput`, or a `lc_trt.runtime.result.Result`."""

    @property
    def labels(self) -> npt.NDArray[np.uint8]:
        """uint8 [..., H, W]."""

    @property
    def stages(self) -> npt.NDArray[np.uint8] | None:
        """uint8 [..., h, w]; None for a dense network."""

    @property
    def confidence(self) -> npt.NDArray[np.float32]:
        """float32 [..., h, w]; (h, w) may be smaller than (H, W)."""


@dataclass(frozen=True)
class MapAgreement:
    """One pass of two engines compared.

    Attributes:
        labels: bool [..., H, W], where the labels are equal and both confidences finite.
        stages: bool [..., h, w], likewise of the stages; where one network is dense, all pixels
            with finite confidences.
        difference: largest absolute difference of the confidences where ``stages`` is true.
        non_finite: number of confidences, of [..., h, w], that are NaN or infinite in either.
    """

    labels: npt.NDArray[np.bool_]
    stages: npt.NDArray[np.bool_]
    difference: float
    non_finite: int


def compare_maps(ours: Maps, theirs: Maps) -> MapAgreement:
    """Compare two results for the same images.

    Args:
        ours: maps.
        theirs: maps of the same shapes.
    """
    finite = np.isfinite(ours.confidence) & np.isfinite(theirs.confidence)
    labels = np.asarray(ours.labels == theirs.labels)
    stages = finite
    if ours.stages is not None and theirs.stages is not None:
        stages = finite & (ours.stages == theirs.stages)
    if not finite.all():
        labels = labels & _enlarged(finite, labels.shape[-2:])
    # A pixel near a threshold may leave one stage later: its confidence is another stage's.
    difference = np.abs(ours.confidence[stages] - theirs.confidence[stages])
    return MapAgreement(
        labels, stages, float(difference.max(initial=0.0)), int(np.count_nonzero(~finite))
    )


def _enlarged(mask: npt.NDArray[np.bool_], size: tuple[int, ...]) -> npt.NDArray[np.bool_]:
    """The nearest value of a mask [..., h, w] for each pixel of (H, W)."""
    rows, columns = (np.arange(n) * m // n for n, m in zip(size, mask.shape[-2:], strict=True))
    return np.asarray(mask[..., rows[:, None], columns], np.bool_)


Case = tuple[npt.NDArray[np.uint8], tuple[float, float] | None]


def compare_engines(engine: Engine, reference: Engine, cases: Iterable[Case]) -> Agreement:
    """Run both engines on every case.

    Args:
        engine: any.
        reference: of the same size and batch.
        cases: images uint8 [N, H, W, 3], BGR, and thresholds (None if dense).
    """
    return summarise(
        (engine.run(images, _array(rho)), reference.run(images, _array(rho)))
        for images, rho in cases
    )


def separating_rho(engine: Engine, images: npt.NDArray[np.uint8]) -> tuple[float, float]:
    """Thresholds that leave pixels at every stage, none of them near a pixel's confidence.

    Two engines round differently: a pixel whose confidence is the threshold leaves in one of
    them only, and changes its neighbours' features. Such a difference is no fault.

    Args:
        engine: of a cascade.
        images: uint8 [N, H, W, 3], BGR.
    """
    first = _widest_gap(engine.run(images, _array((-1.0, -1.0))).confidence.ravel())
    output = engine.run(images, _array((first, -1.0)))
    if output.stages is None:
        raise ValueError("a dense engine has no thresholds")
    return first, _widest_gap(output.confidence[output.stages == 2])


def _widest_gap(values: npt.NDArray[np.float32]) -> float:
    """The middle of the widest gap between the second and the third fifth of the values."""
    ordered = np.sort(values)
    some = ordered[len(ordered) // 5 : len(ordered) * 3 // 5 + 2]
    if len(some) < 2:
        return -1.0
    widest = int(np.argmax(np.diff(some)))
    return float((some[widest] + some[widest + 1]) / 2)


def summarise(passes: Iterable[tuple[Maps, Maps]]) -> Agreement:
    """The agreement over several passes.

    Args:
        passes: both engines' outputs for the same images, [N, ...] each.
    """
    count = 0
    compared: list[MapAgreement] = []
    for ours, theirs in passes:
        count += len(ours.labels)
        compared.append(compare_maps(ours, theirs))
    if not compared:
        return Agreement(0, 1.0, 1.0, 0.0)
    labels = [float(each.labels.mean()) for each in compared]
    stages = [float(each.stages.mean()) for each in compared]
    return Agreement(
        count,
        min(labels),
        min(stages),
        max(each.difference for each in compared),
        float(np.mean(labels)),
        float(np.mean(stages)),
        sum(each.non_finite for each in compared),
    )


def _array(rho: tuple[float, float] | None) -> npt.NDArray[np.float32] | None:
    return None if rho is None else np.array(rho, np.float32)
