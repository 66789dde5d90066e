"""How far two engines agree on the same images."""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import asdict, dataclass

import numpy as np
import numpy.typing as npt

from lc_trt.runtime.engines.base import Engine, EngineOutput


@dataclass(frozen=True)
class Agreement:
    """Two engines compared, over all images and thresholds.

    Attributes:
        count: images times thresholds.
        labels: share of equal labels, the worst pass.
        stages: share of equal stages, the worst pass; 1 for dense networks.
        confidence: largest difference of confidence where the stage is the same.
        mean_labels, mean_stages: the shares over all passes.
    """

    count: int
    labels: float
    stages: float
    confidence: float
    mean_labels: float = 1.0
    mean_stages: float = 1.0

    def as_dict(self) -> dict[str, float]:
        """Plain values."""
        return asdict(self)


Case = tuple[npt.NDArray[np.uint8], tuple[float, float] | None]


def compare_engines(engine: Engine, reference: Engine, cases: Iterable[Case]) -> Agreement:
    """Run both on every case: images uint8 [N, H, W, 3], BGR, and thresholds (None if dense)."""
    return summarise(
        (engine.run(images, _array(rho)), reference.run(images, _array(rho)))
        for images, rho in cases
    )


def separating_rho(engine: Engine, images: npt.NDArray[np.uint8]) -> tuple[float, float]:
    """Thresholds that leave pixels at every stage, none of them near a pixel's confidence.

    Two engines round differently: a pixel whose confidence is the threshold leaves in one of
    them only, and changes its neighbours' features. Such a difference is no fault.
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


def summarise(pairs: Iterable[tuple[EngineOutput, EngineOutput]]) -> Agreement:
    """The agreement of outputs, pair by pair."""
    count, confidence = 0, 0.0
    labels, stages = [], []
    for ours, theirs in pairs:
        count += len(ours.labels)
        labels.append(float((ours.labels == theirs.labels).mean()))
        same = np.ones(ours.confidence.shape, bool)
        if ours.stages is not None and theirs.stages is not None:
            same = ours.stages == theirs.stages
        stages.append(float(same.mean()))
        # A pixel at the threshold may leave one stage later: its confidence is another stage's.
        difference = np.abs(ours.confidence - theirs.confidence)[same]
        # NaN compares as not larger, and must not pass for agreement.
        largest = float(difference.max(initial=0.0))
        confidence = max(confidence, np.inf if np.isnan(largest) else largest)
    if not count:
        return Agreement(0, 1.0, 1.0, 0.0)
    means = float(np.mean(labels)), float(np.mean(stages))
    return Agreement(count, min(labels), min(stages), confidence, *means)


def _array(rho: tuple[float, float] | None) -> npt.NDArray[np.float32] | None:
    return None if rho is None else np.array(rho, np.float32)
