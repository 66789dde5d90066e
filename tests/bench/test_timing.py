"""Engines as lanes, with an engine that takes a known time."""

from __future__ import annotations

import numpy as np
import pytest
from fake_engine import FakeClock, FakeEngine, numbered_frames, random_levels

from lc_trt.bench.operating_points import ALL_EXIT, rho_pair
from lc_trt.bench.timing import EngineLane, cascade_lanes, stage_times
from lc_trt.utils.timing import measure


@pytest.fixture
def clock(monkeypatch: pytest.MonkeyPatch) -> FakeClock:
    fake = FakeClock()
    monkeypatch.setattr("lc_trt.utils.timing.clock", fake)
    return fake


def test_every_lane_is_timed_alone_on_each_frame(clock: FakeClock) -> None:
    frames = numbered_frames(5)
    cascade = FakeEngine(random_levels(5), clock=clock)
    dense = EngineLane("dense", FakeEngine(None, (0, 1, 2, 4), clock), frames)
    row = EngineLane("LC", cascade, frames, [rho_pair(0.5, 0.5)] * 5)
    first = EngineLane("stage 1", cascade, frames, [rho_pair(ALL_EXIT, ALL_EXIT)] * 5)
    measure([[dense, row], [first]], rounds=4, warmup=1)
    assert dense.times == pytest.approx([7] * 4)
    assert first.times == pytest.approx([11] * 4)
    expected = [1 + 10 + 20 * (two + three) + 40 * three for _, two, three in row.shares]
    assert row.times == pytest.approx(expected)
    assert len(set(row.shares)) > 1
    assert not dense.shares


def test_a_timed_pass_follows_the_frame_before(clock: FakeClock) -> None:
    cascade = FakeEngine(random_levels(6), clock=clock)
    rho = [rho_pair(0.1 * i, 0.5) for i in range(6)]
    measure([[EngineLane("LC", cascade, numbered_frames(6), rho)]], rounds=3, warmup=2)
    frames = [number for number, _ in cascade.passes]
    assert frames == [3, 4, 4, 5, 5, 0, 0, 1, 1, 2]
    assert all(used == tuple(rho[number].tolist()) for number, used in cascade.passes)


def test_stage_times_are_differences_of_medians() -> None:
    stages = stage_times([9, 10, 99], [30, 31, 29], [36, 34, 35])
    assert stages == (10, 20, 5)
    assert sum(stages) == np.median([36, 34, 35])


def test_partial_passes_end_after_stages_1_and_2() -> None:
    engine, frames = FakeEngine(random_levels(2)), numbered_frames(2)
    rho = [rho_pair(0.5, 0.25), rho_pair(0.75, 0.5)]
    points, splits = cascade_lanes(engine, frames, {"LC": rho})
    assert [lane.name for lane in points] == ["LC"] and points[0].rho is rho
    assert [lane.name for lane in splits] == ["stage 1", "LC, stages 1 and 2"]
    each = [[r.tolist() for r in lane.rho or ()] for lane in splits]
    assert each == [[[ALL_EXIT] * 2] * 2, [[0.5, ALL_EXIT], [0.75, ALL_EXIT]]]
