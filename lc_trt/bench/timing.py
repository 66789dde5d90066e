"""Interleaved timing: every round runs each lane once, in another order, on the next frame."""

from __future__ import annotations

import time
from collections.abc import Callable, Sequence
from dataclasses import dataclass, field

import numpy as np
import numpy.typing as npt

from lc_trt.bench.operating_points import Rho, Shares, measured_shares
from lc_trt.runtime.engines.base import Engine, EngineOutput


@dataclass
class Lane:
    """One thing to be measured: an engine and the thresholds it runs each frame at.

    Attributes:
        rho: float32 [2] a frame for a cascade, None for a dense network.
        times: milliseconds a pass, in the order of the rounds.
        shares: what left at each stage, in the same order; empty for a dense network.
    """

    name: str
    engine: Engine
    rho: Sequence[Rho] | None = None
    times: list[float] = field(default_factory=list)
    shares: list[Shares] = field(default_factory=list)

    def run(self, frames: Sequence[npt.NDArray[np.uint8]], i: int) -> EngineOutput:
        """Run frame ``i``, counted round and round, at its thresholds."""
        i %= len(frames)
        return self.engine.run(frames[i], None if self.rho is None else self.rho[i])


def measure(
    groups: Sequence[Sequence[Lane]],
    frames: Sequence[npt.NDArray[np.uint8]],
    rounds: int,
    warmup: int,
    *,
    clock: Callable[[], float] = time.perf_counter,
    advance: Callable[[int], None] = lambda lanes: None,
) -> None:
    """Fill the lanes' ``times`` and ``shares``, one entry a round.

    A round runs all lanes on the same frame. Within a group their order changes from round to
    round, so that no lane always follows the same other one; groups keep their order, so that
    the lanes of a later one (runs cut short after a stage) prepare no shape for an earlier
    one's. Each timed pass follows an untimed one of the same lane on the previous frame, as
    in a video: otherwise it would pay for what the lane before it left in the caches and for
    another engine's threads that still spin.

    Args:
        frames: uint8 [N, H, W, 3] each.
        warmup: rounds at the start that are run alike but not kept.
        clock: seconds.
        advance: called with 1 after each lane.
    """
    for i in range(warmup + rounds):
        for group in groups:
            for k in range(len(group)):
                lane = group[(i + k) % len(group)]
                lane.run(frames, i - 1)
                began = clock()
                output = lane.run(frames, i)
                taken = clock() - began
                advance(1)
                if i < warmup:
                    continue
                lane.times.append(taken * 1e3)
                if output.stages is not None:
                    lane.shares.append(measured_shares(output.stages))


def percentiles(times: Sequence[float]) -> dict[str, float]:
    """Median, 95th and 99th percentile of milliseconds, between ranks interpolated linearly."""
    p50, p95, p99 = np.percentile(np.asarray(times, np.float64), [50, 95, 99])
    return {"p50": float(p50), "p95": float(p95), "p99": float(p99)}


def ratio(slow: Sequence[float], fast: Sequence[float]) -> float:
    """How many times faster: the median over rounds of the two times of one round.

    Paired within a round, so that what slows the whole machine for a while drops out.
    """
    return float(np.median(np.asarray(slow, np.float64) / np.asarray(fast, np.float64)))


def stage_times(
    first: Sequence[float], second: Sequence[float], full: Sequence[float]
) -> tuple[float, float, float]:
    """Milliseconds in each stage; they sum to the median of ``full``.

    Differences of the medians of three runs: one in which every pixel leaves at stage 1
    (with what comes before and after the network), one in which the rest leaves at stage 2,
    and the full one.
    """
    one, two, three = (float(np.median(t)) for t in (first, second, full))
    return one, two - one, three - two


def mean_shares(shares: Sequence[Shares]) -> Shares:
    """The mean over rounds."""
    one, two, three = np.mean(np.asarray(shares, np.float64), axis=0)
    return float(one), float(two), float(three)
