"""Agreement of two engines on the same images.

A confidence that is NaN or infinite in either engine never counts as agreement: the stage and the
labels of its pixel count as unequal, and the number of such confidences is reported
(``non_finite``).
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
    """The maps that are compared: an `EngineOutput` or a `lc_trt.runtime.result.Result`."""

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
    """Agreement of two engines in one pass.

    Attributes:
        labels: bool [..., H, W], true where the labels are equal and both confidences finite.
        stages: bool [..., h, w], likewise for stages; if one network is dense, true where both
            confidences are finite.
        difference: largest absolute difference of confidences where ``stages`` is true.
        non_finite: number of positions [..., h, w] where either confidence is NaN or infinite.
    """

    labels: npt.NDArray[np.bool_]
    stages: npt.NDArray[np.bool_]
    difference: float
    non_finite: int


def compare_maps(ours: Maps, theirs: Maps) -> MapAgreement:
    """Compare the results of two engines for the same images.

    Args:
        ours: maps of one engine.
        theirs: maps of the other engine, of the same shapes.
    """
    finite = np.isfinite(ours.confidence) & np.isfinite(theirs.confidence)
    labels = np.asarray(ours.labels == theirs.labels)
    stages = finite
    if ours.stages is not None and theirs.stages is not None:
        stages = finite & (ours.stages == theirs.stages)
    if not finite.all():
        labels = labels & _enlarged(finite, labels.shape[-2:])
    # A pixel near a threshold may exit one stage later, with the confidence of that stage.
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
        engine: the engine under test.
        reference: an engine of the same size and batch.
        cases: images, uint8 [N, H, W, 3], BGR, and thresholds (None for dense networks).
    """
    return summarise(
        (engine.run(images, _array(rho)), reference.run(images, _array(rho)))
        for images, rho in cases
    )


def separating_rho(engine: Engine, images: npt.NDArray[np.uint8]) -> tuple[float, float]:
    """Thresholds at which pixels exit at every stage, and that no confidence is close to.

    Engines round differently, so a pixel whose confidence is close to the threshold may exit in
    only one of them, which also changes its neighbours' features. That difference is no fault.

    Args:
        engine: of a cascade.
        images: uint8 [N, H, W, 3], BGR.

    Raises:
        ValueError: the engine is dense.
    """
    first = _widest_gap(engine.run(images, _array((-1.0, -1.0))).confidence.ravel())
    output = engine.run(images, _array((first, -1.0)))
    if output.stages is None:
        raise ValueError("a dense engine has no thresholds")
    return first, _widest_gap(output.confidence[output.stages == 2])


def influence_of_exits(
    engine: Engine, images: npt.NDArray[np.uint8], rho: tuple[float, float]
) -> float:
    """How much the exits of other pixels change the pixels that reach stage 3.

    Args:
        engine: of a cascade.
        images: uint8 [N, H, W, 3], BGR.
        rho: thresholds.

    Returns:
        Largest difference of a confidence from that without early exit; 0 in exact arithmetic if
        the cascade has exact regions.

    Raises:
        ValueError: the engine is dense.
    """
    some, everything = (engine.run(images, _array(pair)) for pair in (rho, (1.0, 1.0)))
    if some.stages is None:
        raise ValueError("a dense engine has no thresholds")
    difference = np.abs(some.confidence - everything.confidence)[some.stages == 3]
    return float(difference.max(initial=0.0))


def _widest_gap(values: npt.NDArray[np.float32]) -> float:
    """The middle of the widest gap among the values of the second and third quintile."""
    ordered = np.sort(values)
    middle = ordered[len(ordered) // 5 : len(ordered) * 3 // 5 + 2]
    if len(middle) < 2:
        return -1.0
    widest = int(np.argmax(np.diff(middle)))
    return float((middle[widest] + middle[widest + 1]) / 2)


def summarise(passes: Iterable[tuple[Maps, Maps]]) -> Agreement:
    """The agreement over several passes.

    Args:
        passes: outputs of both engines for the same images, [N, ...] each.
    """
    count = 0
    agreements: list[MapAgreement] = []
    for ours, theirs in passes:
        count += len(ours.labels)
        agreements.append(compare_maps(ours, theirs))
    if not agreements:
        return Agreement(0, 1.0, 1.0, 0.0)
    labels = [float(each.labels.mean()) for each in agreements]
    stages = [float(each.stages.mean()) for each in agreements]
    return Agreement(
        count,
        min(labels),
        min(stages),
        max(each.difference for each in agreements),
        float(np.mean(labels)),
        float(np.mean(stages)),
        sum(each.non_finite for each in agreements),
    )


def _array(rho: tuple[float, float] | None) -> npt.NDArray[np.float32] | None:
    return None if rho is None else np.array(rho, np.float32)
