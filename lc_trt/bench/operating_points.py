"""Thresholds at which given shares of an image's pixels exit at each stage."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
import numpy.typing as npt

from lc_trt.data.metrics import Shares
from lc_trt.runtime.engines.base import Engine

Rho = npt.NDArray[np.float32]

ALL_EXIT = -1.0  # less than every confidence
NONE_EXIT = 1.0  # not less than any


def threshold_for(confidence: npt.NDArray[np.float32], count: int) -> float:
    """The threshold that exactly ``count`` values exceed; fewer where values tie.

    Args:
        confidence: float32 of any shape.
        count: number of values.
    """
    values = np.sort(confidence.reshape(-1))
    if count >= len(values):
        return ALL_EXIT
    return float(values[len(values) - 1 - count])


def find_rho(engine: Engine, image: npt.NDArray[np.uint8], targets: Sequence[Shares]) -> list[Rho]:
    """Find the thresholds at which an image has given exit shares.

    The shares are over all pixels of the batch and exact except for ties. A pass in which all
    pixels exit at stage 1 gives the confidences of stage 1; then a pass per target, with its first
    threshold, gives those of stage 2 inside the region.

    Args:
        engine: of a cascade.
        image: uint8 [N, H, W, 3], BGR.
        targets: shares that exit at stages 1, 2 and 3.

    Returns:
        float32 [2] per target.
    """
    first = np.array(engine.run(image, rho_pair(ALL_EXIT, ALL_EXIT)).confidence, np.float32)
    rhos = []
    for shares in targets:
        rho = rho_pair(threshold_for(first, round(shares[0] * first.size)), ALL_EXIT)
        output = engine.run(image, rho)
        assert output.stages is not None  # a dense engine takes no thresholds
        second = output.confidence[output.stages == 2]
        rho[1] = threshold_for(second, round(shares[1] * first.size))
        rhos.append(rho)
    return rhos


def rho_pair(first: float, second: float) -> Rho:
    """Thresholds as engines take them, float32 [2].

    Args:
        first: of the boundary between stages 1 and 2.
        second: of the boundary between stages 2 and 3.
    """
    return np.array([first, second], np.float32)
