"""The thresholds of each row and frame: the bundle's own, or those that reach given exit shares."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
import numpy.typing as npt

from lc_trt.bench.options import Options
from lc_trt.bench.shares import jittered
from lc_trt.bundle.manifest import Manifest
from lc_trt.data import published
from lc_trt.data.metrics import Shares
from lc_trt.runtime.engines.base import Engine
from lc_trt.utils.progress import SILENT, ProgressMonitor

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


def thresholds(
    manifest: Manifest,
    engine: Engine,
    frames: Sequence[npt.NDArray[np.uint8]],
    options: Options,
    monitor: ProgressMonitor = SILENT,
) -> dict[str, list[Rho]]:
    """The thresholds of each frame at the operating points ``LC`` and ``LC fast``.

    Args:
        manifest: of the bundle.
        engine: its cascade.
        frames: uint8 [N, H, W, 3] each, BGR.
        options: how to measure.
        monitor: shows progress.

    Returns:
        float32 [2] per frame, by row.
    """
    own = {"LC": manifest.default_rho, "LC fast": manifest.fast_rho}
    requested = options.shares or {}
    targets: dict[str, list[Shares]] = {}
    rhos: dict[str, list[Rho]] = {}
    for row, point in published.POINTS.items():
        rho = own[row]
        if rho is not None and at_own_rho(row, manifest, options):
            rhos[row] = [rho_pair(*rho)] * len(frames)
        else:
            targets[row] = jittered(requested.get(row, point.shares), len(frames), options.seed)
            rhos[row] = []
    if targets:
        for i, frame in enumerate(monitor.track("finding thresholds", frames)):
            shares = [draws[i] for draws in targets.values()]
            for row, pair in zip(targets, find_rho(engine, frame, shares), strict=True):
                rhos[row].append(pair)
    return rhos


def at_own_rho(row: str, manifest: Manifest, options: Options) -> bool:
    """Whether an operating point runs at the bundle's thresholds, not at target shares.

    Args:
        row: ``LC`` or ``LC fast``.
        manifest: of the bundle.
        options: how to measure.
    """
    return manifest.trained is not None and row not in (options.shares or {})
