"""Thresholds that let a given share of an image's pixels leave at each stage."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
import numpy.typing as npt

from lc_trt.data.metrics import Shares
from lc_trt.runtime.engines.base import Engine

Rho = npt.NDArray[np.float32]

ALL_LEAVE = -1.0  # every confidence is greater
NONE_LEAVE = 1.0  # none is


def threshold_for(confidence: npt.NDArray[np.float32], leaving: int) -> float:
    """The threshold that exactly ``leaving`` values are strictly greater than.

    Where the values tie there, fewer are. ``confidence`` has any shape.
    """
    values = np.sort(confidence.reshape(-1))
    if leaving >= len(values):
        return ALL_LEAVE
    return float(values[len(values) - 1 - leaving])


def find_rho(engine: Engine, image: npt.NDArray[np.uint8], targets: Sequence[Shares]) -> list[Rho]:
    """For each target, the thresholds at which ``image`` [N, H, W, 3] has those shares.

    Counted over all pixels of the batch and exact but for ties: one run with every pixel
    leaving at stage 1 shows its confidences, and for each target one more, with the first
    threshold set, shows those of stage 2 inside the region that it will have.

    Returns:
        float32 [2] a target.
    """
    first = np.array(engine.run(image, rho_pair(ALL_LEAVE, ALL_LEAVE)).confidence, np.float32)
    found = []
    for shares in targets:
        rho = rho_pair(threshold_for(first, round(shares[0] * first.size)), ALL_LEAVE)
        output = engine.run(image, rho)
        assert output.stages is not None  # a dense engine takes no thresholds
        second = output.confidence[output.stages == 2]
        rho[1] = threshold_for(second, round(shares[1] * first.size))
        found.append(rho)
    return found


def rho_pair(first: float, second: float) -> Rho:
    """Two thresholds as engines take them, float32 [2]."""
    return np.array([first, second], np.float32)
