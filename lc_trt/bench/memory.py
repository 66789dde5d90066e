"""Whether memory grows while the regions keep changing."""

from __future__ import annotations

import gc
import resource
import sys
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import numpy.typing as npt

from lc_trt.bench.operating_points import ALL_LEAVE, NONE_LEAVE, rho_pair
from lc_trt.runtime.engines.base import Engine
from lc_trt.utils.progress import SILENT, ProgressMonitor

_STATM = Path("/proc/self/statm")
MEGABYTE = 2**20


@dataclass(frozen=True)
class Memory:
    """Resident memory of the process around ``frames`` passes, in MiB.

    Engines keep what they prepared for each size of region, up to some bound, so the first
    half may grow; growth in the second half is a leak.
    """

    frames: int
    start_mb: float
    middle_mb: float
    end_mb: float

    @property
    def growth_mb(self) -> float:
        """What the passes added; negative where memory was given back."""
        return self.end_mb - self.start_mb

    @property
    def second_half_mb(self) -> float:
        """What the second half of them added."""
        return self.end_mb - self.middle_mb

    def as_dict(self) -> dict[str, float]:
        """The values by name, rounded."""
        return {
            "frames": self.frames,
            "start_mb": round(self.start_mb, 1),
            "end_mb": round(self.end_mb, 1),
            "growth_mb": round(self.growth_mb, 1),
            "second_half_mb": round(self.second_half_mb, 1),
        }


def resident_mb() -> float:
    """Resident memory of this process in MiB; its highest value so far where not Linux."""
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
    """Run ``frames`` passes, each with a region of another size, and compare the memory.

    The images go round and round; each pass draws its thresholds so that a random share,
    from none to all, leaves at stage 1, and of the rest at stage 2. A dense engine just
    runs the images.

    Args:
        engine: the engine.
        images: uint8 [N, H, W, 3] each.
        frames: how many passes.
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
    """Of stages 1 and 2 on all pixels; empty for a dense engine."""
    if engine.kind == "dense":
        return []
    runs = (rho_pair(ALL_LEAVE, ALL_LEAVE), rho_pair(NONE_LEAVE, ALL_LEAVE))
    return [engine.run(image, rho).confidence for rho in runs]
