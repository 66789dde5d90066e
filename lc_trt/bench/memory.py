"""Growth of memory while region sizes change."""

from __future__ import annotations

import gc
import resource
import sys
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import numpy.typing as npt

from lc_trt.bench.operating_points import ALL_EXIT, NONE_EXIT, rho_pair
from lc_trt.runtime.engines.base import Engine
from lc_trt.utils.progress import SILENT, ProgressMonitor

_STATM = Path("/proc/self/statm")
MEGABYTE = 2**20


@dataclass(frozen=True)
class Memory:
    """Resident memory of the process during a soak, in MiB.

    Engines cache preparations per region size, up to some bound, so memory may grow in the first
    half; growth in the second half is a leak.

    Attributes:
        frames: number of passes.
        start_mb: before the first pass.
        middle_mb: after half of them.
        end_mb: after the last one.
    """

    frames: int
    start_mb: float
    middle_mb: float
    end_mb: float

    @property
    def growth_mb(self) -> float:
        """Growth over all passes; negative where memory was freed."""
        return self.end_mb - self.start_mb

    @property
    def second_half_mb(self) -> float:
        """Growth over the second half."""
        return self.end_mb - self.middle_mb

    def as_dict(self) -> dict[str, float]:
        """JSON values, rounded."""
        return {
            "frames": self.frames,
            "start_mb": round(self.start_mb, 1),
            "end_mb": round(self.end_mb, 1),
            "growth_mb": round(self.growth_mb, 1),
            "second_half_mb": round(self.second_half_mb, 1),
        }


def resident_mb() -> float:
    """Resident memory of this process in MiB; its peak on systems other than Linux."""
    if _STATM.is_file():
        return int(_STATM.read_text().split()[1]) * resource.getpagesize() / MEGABYTE
    peak = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss
    return peak / MEGABYTE if sys.platform == "darwin" else peak / 1024


def soak(
    engine: Engine,
    images: Sequence[npt.NDArray[np.uint8]],
    frames: int,
    *,
    seed: int = 0,
    monitor: ProgressMonitor = SILENT,
) -> Memory:
    """Run passes with regions of random sizes and record the memory.

    Each pass draws thresholds at which a random share of the pixels, from none to all, exits at
    stage 1, and of the others at stage 2. A dense engine runs the images without thresholds.

    Args:
        engine: the engine.
        images: uint8 [N, H, W, 3] each, BGR; used in turn.
        frames: number of passes.
        seed: of the shares.
        monitor: shows progress.
    """
    rng = np.random.default_rng(seed)
    levels = [_confidences(engine, image) for image in images]
    gc.collect()
    start = middle = resident_mb()
    for i in monitor.track("watching memory", range(frames)):
        if i == frames // 2:
            middle = resident_mb()
        rho = None
        if engine.kind == "cascade":
            rho = rho_pair(*(float(np.quantile(c, rng.random())) for c in levels[i % len(levels)]))
        engine.run(images[i % len(images)], rho)
    gc.collect()
    return Memory(frames, start, middle, resident_mb())


def _confidences(engine: Engine, image: npt.NDArray[np.uint8]) -> list[npt.NDArray[np.float32]]:
    """Confidences of stages 1 and 2 on all pixels; empty for a dense engine."""
    if engine.kind == "dense":
        return []
    runs = (rho_pair(ALL_EXIT, ALL_EXIT), rho_pair(NONE_EXIT, ALL_EXIT))
    return [engine.run(image, rho).confidence for rho in runs]
