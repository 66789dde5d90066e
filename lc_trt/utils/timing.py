"""Interleaved timing: lanes take turns, so that a slowdown of the machine affects all of them."""

from __future__ import annotations

import time
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass, field
from typing import Any, Generic, TypeVar

import numpy as np

from lc_trt.utils.progress import SILENT, ProgressMonitor

T = TypeVar("T")
Timer = Callable[[Callable[[], object]], float]
"""Calls a function and returns its duration in milliseconds."""


def clock() -> float:
    """Monotonic clock in seconds, used for all CPU timing; tests replace it."""
    return time.perf_counter()


def timed(work: Callable[[], T]) -> tuple[T, float]:
    """Call a function and time it.

    Args:
        work: the function.

    Returns:
        Its result, and its duration in milliseconds by `clock`.
    """
    start = clock()
    result = work()
    return result, (clock() - start) * 1e3


def milliseconds(work: Callable[[], object]) -> float:
    """The `Timer` of CPUs: call a function and return its duration in milliseconds.

    Args:
        work: the function.
    """
    return timed(work)[1]


@dataclass
class Lane(Generic[T]):
    """One of several alternatives that are timed interleaved.

    Attributes:
        name: for tables.
        run: a timed pass, given the number of the round.
        before: an untimed pass before each timed one, likewise. Without it, a pass starts with the
            caches and spinning threads of the previous lane.
        collect: receives the result of each measured pass.
        times: milliseconds of each measured pass.
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
        rounds: number of measured rounds, numbered from 0.
        warmup: number of warm-up rounds before, with negative numbers.
        timer: times a pass.
        monitor: shows progress, with one step per pass.
        phase: name of the progress phase.
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
    """Run a round: each lane once, yielding it afterwards.

    Within a group, the order rotates by one per round, so that no lane always follows the same
    other one. Groups keep their order, so that the lanes of a later group (such as passes that end
    after a stage) do not warm up shapes for an earlier group.

    Args:
        groups: the lanes.
        number: of the round, passed to the lanes.
        counts: whether times and results are recorded, or this is a warm-up round.
        timer: times a pass.

    Yields:
        Each lane after its pass.
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
    """Median, 95th and 99th percentile, with linear interpolation.

    Args:
        times: at least one time.
    """
    p50, p95, p99 = np.percentile(np.asarray(times, np.float64), [50, 95, 99])
    return {"p50": float(p50), "p95": float(p95), "p99": float(p99)}


def ratio(slow: Sequence[float], fast: Sequence[float]) -> float:
    """Speed-up between two lanes: the median over rounds of the ratio within a round.

    Pairing within a round cancels temporary slowdowns of the machine.

    Args:
        slow: times of one lane.
        fast: times of the other lane in the same rounds.
    """
    return float(np.median(np.asarray(slow, np.float64) / np.asarray(fast, np.float64)))
