"""How far two engines agree on the same images."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
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
    """

    count: int
    labels: float
    stages: float
    confidence: float

    def as_dict(self) -> dict[str, float]:
        """Plain values."""
        return asdict(self)


def compare_engines(
    engine: Engine,
    reference: Engine,
    batches: npt.NDArray[np.uint8],
    rhos: Sequence[tuple[float, float] | None],
) -> Agreement:
    """Run both on every batch at every threshold.

    Args:
        batches: uint8 [passes, N, H, W, 3], BGR.
        rhos: thresholds; ``[None]`` for dense networks.
    """
    return summarise(
        (engine.run(images, _array(rho)), reference.run(images, _array(rho)))
        for rho in rhos
        for images in batches
    )


def summarise(pairs: Iterable[tuple[EngineOutput, EngineOutput]]) -> Agreement:
    """The agreement of outputs, pair by pair."""
    count, labels, stages, confidence = 0, 1.0, 1.0, 0.0
    for ours, theirs in pairs:
        count += len(ours.labels)
        labels = min(labels, float((ours.labels == theirs.labels).mean()))
        same = np.ones(ours.confidence.shape, bool)
        if ours.stages is not None and theirs.stages is not None:
            same = ours.stages == theirs.stages
            stages = min(stages, float(same.mean()))
        # A pixel at the threshold may leave one stage later: its confidence is another stage's.
        difference = np.abs(ours.confidence - theirs.confidence)[same]
        # NaN compares as not larger, and must not pass for agreement.
        largest = float(difference.max(initial=0.0))
        confidence = max(confidence, np.inf if np.isnan(largest) else largest)
    return Agreement(count, labels, stages, confidence)


def _array(rho: tuple[float, float] | None) -> npt.NDArray[np.float32] | None:
    return None if rho is None else np.array(rho, np.float32)
