"""Measure device time: work is captured in a CUDA graph and replayed between events."""

from __future__ import annotations

import time
from collections.abc import Callable
from typing import Protocol

import numpy as np
import torch

PixelWork = Callable[[], object]
WARMUP = 3  # passes before a capture: kernels load, cuDNN tries its algorithms


class Backend(Protocol):
    """A timer; tests use one with a simulated clock."""

    def record(self, work: PixelWork, copies: int = 1) -> PixelWork:
        """Return a callable that runs ``work`` ``copies`` times in one launch."""

    def milliseconds(self, run: PixelWork) -> float:
        """Device time of one call."""


class CudaBackend:
    """CUDA graphs and events."""

    def record(self, work: PixelWork, copies: int = 1) -> PixelWork:
        """Capture a graph; each replay reads the inputs of ``work`` again."""
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
        """Time between two events around a call, after an untimed one.

        The untimed call keeps the device busy during the launch, which is therefore not included,
        and warms the caches.
        """
        run()
        start, end = (torch.cuda.Event(enable_timing=True) for _ in range(2))
        start.record()
        run()
        end.record()
        end.synchronize()
        return float(start.elapsed_time(end))


def median(backend: Backend, run: PixelWork, rounds: int, copies: int = 1) -> float:
    """Milliseconds per copy: the median over rounds, after a warm-up."""
    backend.milliseconds(run)
    return float(np.median([backend.milliseconds(run) for _ in range(rounds)])) / copies


class Budget:
    """A time limit, so that a run ends in time and writes its results."""

    def __init__(self, minutes: float, clock: Callable[[], float] = time.monotonic) -> None:
        self.clock, self.end = clock, clock() + 60 * minutes

    @property
    def left(self) -> float:
        """Remaining seconds."""
        return max(self.end - self.clock(), 0.0)

    @property
    def spent(self) -> bool:
        """Whether no time is left."""
        return self.clock() >= self.end
