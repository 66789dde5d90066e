"""Device time: work captured once in a CUDA graph, replayed between events."""

from __future__ import annotations

import time
from collections.abc import Callable
from typing import Protocol

import numpy as np
import torch

PixelWork = Callable[[], object]
WARMUP = 3  # passes before a capture: kernels load, cuDNN tries its algorithms


class Backend(Protocol):
    """What measures; tests have one with a clock of their own."""

    def record(self, work: PixelWork, copies: int = 1) -> PixelWork:
        """A callable that does ``work`` ``copies`` times, as one launch."""

    def milliseconds(self, run: PixelWork) -> float:
        """How long one call keeps the device busy."""


class CudaBackend:
    """CUDA graphs and events."""

    def record(self, work: PixelWork, copies: int = 1) -> PixelWork:
        """Capture; the tensors that ``work`` reads are read again at each replay."""
        stream = torch.cuda.Stream()
        stream.wait_stream(torch.cuda.current_stream())
        with torch.cuda.stream(stream):
            for _ in range(WARMUP):
                work()
        stream.synchronize()
        graph, results = torch.cuda.CUDAGraph(), []
        with torch.cuda.graph(graph, stream=stream):
            for _ in range(copies):
                results.append(work())

        def replay() -> object:
            graph.replay()
            return results  # which keeps their memory

        return replay

    def milliseconds(self, run: PixelWork) -> float:
        """Between two events around one call, which follows an untimed one.

        So the device is busy while the timed one is launched, and the launch is not in the time;
        nor is what another lane left in the caches.
        """
        run()
        start, end = (torch.cuda.Event(enable_timing=True) for _ in range(2))
        start.record()
        run()
        end.record()
        end.synchronize()
        return float(start.elapsed_time(end))


def median(backend: Backend, run: PixelWork, rounds: int, copies: int = 1) -> float:
    """Milliseconds of one of the copies: the median over rounds, after one that warms up."""
    backend.milliseconds(run)
    return float(np.median([backend.milliseconds(run) for _ in range(rounds)])) / copies


class Budget:
    """A time limit, so that a run ends by itself with its results written."""

    def __init__(self, minutes: float, clock: Callable[[], float] = time.monotonic) -> None:
        self.clock, self.end = clock, clock() + 60 * minutes

    @property
    def left(self) -> float:
        """Seconds."""
        return max(self.end - self.clock(), 0.0)

    @property
    def spent(self) -> bool:
        """Whether no time is left."""
        return self.clock() >= self.end
