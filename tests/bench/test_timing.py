"""Interleaved timing, against an engine that takes a known time."""

from __future__ import annotations

import numpy as np
import pytest
from fake_engine import FakeClock, FakeEngine, numbered_frames, random_levels

from lc_trt.bench.operating_points import ALL_LEAVE, rho_pair
from lc_trt.bench.timing import Lane, mean_shares, measure, percentiles, ratio, stage_times

ALL = rho_pair(ALL_LEAVE, ALL_LEAVE)


def lanes(clock: FakeClock, frames: int) -> tuple[FakeEngine, list[list[Lane]]]:
    dense = FakeEngine(None, (0, 1, 2, 4), clock)
    cascade = FakeEngine(random_levels(frames), clock=clock)
    rows = [Lane("dense", dense), Lane("LC", cascade, [rho_pair(0.5, 0.5)] * frames)]
    return cascade, [rows, [Lane("stage 1", cascade, [ALL] * frames)]]


def test_every_lane_is_timed_alone_on_each_frame() -> None:
    clock = FakeClock()
    _, groups = lanes(clock, 5)
    measure(groups, numbered_frames(5), rounds=4, warmup=1, clock=clock)
    (dense, row), (first,) = groups
    assert dense.times == pytest.approx([7] * 4)
    assert first.times == pytest.approx([11] * 4)
    expected = [1 + 10 + 20 * (two + three) + 40 * three for _, two, three in row.shares]
    assert row.times == pytest.approx(expected)
    assert len(set(row.shares)) > 1
    assert not dense.shares


def test_a_timed_pass_follows_the_frame_before() -> None:
    clock = FakeClock()
    cascade, _ = lanes(clock, 6)
    rho = [rho_pair(0.1 * i, 0.5) for i in range(6)]
    measure([[Lane("LC", cascade, rho)]], numbered_frames(6), rounds=3, warmup=2, clock=clock)
    frames = [number for number, _ in cascade.seen]
    assert frames == [5, 0, 0, 1, 1, 2, 2, 3, 3, 4]
    assert all(used == tuple(rho[number].tolist()) for number, used in cascade.seen)


def test_the_order_turns_and_cut_runs_come_last() -> None:
    clock, ran = FakeClock(), list[str]()

    class Named(FakeEngine):
        def __init__(self, name: str) -> None:
            super().__init__(None, clock=clock)
            self.name = name

        def _infer(self, feed):  # type: ignore[no-untyped-def]
            ran.append(self.name)
            return super()._infer(feed)

    groups = [[Lane(name, Named(name)) for name in group] for group in ("abc", "xy")]
    measure(groups, numbered_frames(3), rounds=3, warmup=0, clock=clock)
    # Each lane twice in a row: untimed, then timed.
    assert ran[::2] == ran[1::2]
    assert "".join(ran[::2]) == "abcxy" + "bcayx" + "cabxy"


def test_progress_counts_lanes_of_all_rounds() -> None:
    clock, steps = FakeClock(), list[int]()
    _, groups = lanes(clock, 4)
    measure(groups, numbered_frames(4), rounds=3, warmup=1, clock=clock, advance=steps.append)
    assert sum(steps) == 3 * 4


def test_percentiles() -> None:
    found = percentiles([float(v) for v in range(101)])
    assert found == {"p50": 50, "p95": 95, "p99": 99}
    assert list(found) == ["p50", "p95", "p99"]
    assert percentiles([4.0]) == {"p50": 4, "p95": 4, "p99": 4}


def test_the_ratio_is_paired_in_a_round() -> None:
    # The machine is three times slower in the middle round, for both.
    assert ratio([20, 60, 22], [10, 30, 10]) == 2
    # The ratio of the medians would be 22 / 10.
    assert ratio([20, 60, 22], [10, 30, 10]) != pytest.approx(2.2)


def test_stage_times_are_differences_of_medians() -> None:
    found = stage_times([9, 10, 99], [30, 31, 29], [36, 34, 35])
    assert found == (10, 20, 5)
    assert sum(found) == np.median([36, 34, 35])


def test_mean_shares() -> None:
    assert mean_shares([(0.2, 0.3, 0.5), (0.4, 0.1, 0.5)]) == pytest.approx((0.3, 0.2, 0.5))
