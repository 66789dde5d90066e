"""Interleaved timing: what is compared runs in turns, so that what slows the machine slows all."""

from __future__ import annotations

import time
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass, field
from typing import Any, Generic, TypeVar

import numpy as np

from lc_trt.utils.progress import SILENT, ProgressMonitor

T = TypeVar("T")
Timer = Callable[[Callable[[], object]], float]
"""Calls a function and returns how many milliseconds that took."""


def clock() -> float:
    """Monotonic seconds: the clock of all that is timed on a CPU, which tests replace."""
    return time.perf_counter()


def timed(work: Callable[[], T]) -> tuple[T, float]:
    """The result of a call, and how many milliseconds it took by `clock`.

    Args:
        work: what to call.
    """
    began = clock()
    result = work()
    return result, (clock() - began) * 1e3


def milliseconds(work: Callable[[], object]) -> float:
    """How many milliseconds a call took: the `Timer` of a CPU.

    Args:
        work: what to call.
    """
    return timed(work)[1]


@dataclass
class Lane(Generic[T]):
    """One of the things that are timed in turns.

    Attributes:
        name: what tables call it.
        run: one pass, which is timed; takes the number of the round.
        before: an untimed pass ahead of each, likewise. Without it a pass may pay for what the lane
            before it left in the caches, and for another engine's threads that still spin.
        collect: takes the result of each pass that counts.
        times: milliseconds of each pass that counts.
    """

    name: str
    run: Callable[[int], T]
    before: Callable[[int], object] | None = None
    collect: Callable[[T], object] | None = None
    times: list[float] = field(default_factory=list)


def measure(
    groups: Sequence[Sequence[Lane[Any]]],
    rounds: int,
    warmup: int = 0,
    *,
    timer: Timer = milliseconds,
    monitor: ProgressMonitor = SILENT,
    phase: str = "measuring",
) -> None:
    """Time all lanes in every round.

    Args:
        groups: as of `take_turns`.
        rounds: how many count; they are numbered from 0.
        warmup: how many do not, before these; their numbers are negative.
        timer: what times a pass.
        monitor: shows progress, with one step per pass.
        phase: what it calls that.
    """
    lanes = sum(len(group) for group in groups)
    with monitor.phase(phase, lanes * (warmup + rounds)) as advance:
        for number in range(-warmup, rounds):
            for _ in take_turns(groups, number, counts=number >= 0, timer=timer):
                advance(1)


def take_turns(
    groups: Sequence[Sequence[Lane[T]]],
    number: int,
    *,
    counts: bool = True,
    timer: Timer = milliseconds,
) -> Iterator[Lane[T]]:
    """One round: run each lane once, and yield it after that.

    Within a group the order moves on by one from round to round, so that no lane always follows the
    same other one. Groups keep their order: the lanes of a later one (runs that are cut short after
    a stage) prepare no shapes for an earlier one's.

    Args:
        groups: the lanes.
        number: of the round; lanes get it.
        counts: whether times and results are kept, or the round is there to warm up.
        timer: what times a pass.
    """
    for group in groups:
        for turn in range(len(group)):
            lane = group[(number + turn) % len(group)]
            if lane.before is not None:
                lane.before(number)
            results: list[T] = []
            taken = timer(lambda lane=lane, results=results: results.append(lane.run(number)))  # type: ignore[misc]
            if counts:
                lane.times.append(taken)
                if lane.collect is not None:
                    lane.collect(results[-1])
            yield lane


def percentiles(times: Sequence[float]) -> dict[str, float]:
    """Median, 95th and 99th percentile, interpolated linearly between ranks.

    Args:
        times: at least one.
    """
    p50, p95, p99 = np.percentile(np.asarray(times, np.float64), [50, 95, 99])
    return {"p50": float(p50), "p95": float(p95), "p99": float(p99)}


def ratio(slow: Sequence[float], fast: Sequence[float]) -> float:
    """How many times faster a lane is: the median over rounds of the two times of one round.

    Paired within a round, so that what slows the whole machine for a while drops out.

    Args:
        slow, fast: times of two lanes of the same rounds.
    """
    return float(np.median(np.asarray(slow, np.float64) / np.asarray(fast, np.float64)))
