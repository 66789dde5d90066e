"""Rows from lanes with known times."""

from __future__ import annotations

import numpy as np
import pytest
from fake_engine import FakeEngine, numbered_frames

from lc_trt.bench.networks import DenseNetwork
from lc_trt.bench.operating_points import rho_pair
from lc_trt.bench.report import Row
from lc_trt.bench.rows import slower_rows, target_of, timed_rows
from lc_trt.bench.timing import EngineLane, cascade_lanes
from lc_trt.data.published import TARGET_FPS
from lc_trt.ir.cost import StageMacs

MACS = StageMacs(stage1=4.0, head1=1.0, stage2=2.0, head2=1.0, stage3=8.0, head3=2.0)


def network(row: str, *, own: bool) -> DenseNetwork:
    return DenseNetwork(row, row, own, 9.0, "bf16", lambda: FakeEngine(None))


def lane(name: str, times: list[float]) -> EngineLane:
    made = EngineLane(name, FakeEngine(None), numbered_frames(1))
    made.times = times
    return made


def test_the_reference_is_the_fastest_own_network_by_paired_ratios() -> None:
    dense = [network("VGG16", own=False), network("dense (a)", own=True), network("b", own=True)]
    lanes = [lane("VGG16", [1.0] * 3), lane("dense (a)", [9, 30, 29]), lane("b", [8, 28, 40])]
    rows, reference = timed_rows(dense, lanes, [], None, "bf16", 2)
    assert reference is rows[2]  # faster in two rounds of three, though its median is higher
    assert [row.speedup for row in rows] == [28, pytest.approx(28 / 30), 1]
    assert rows[1].fps == pytest.approx(2e3 / 29)
    assert {row.published_fps for row in rows} == {9.0}


def test_operating_points_have_shares_stage_times_and_a_ceiling() -> None:
    engine = FakeEngine([np.full((3, 1, 2, 3), 0.5, np.float32)])
    points, splits = cascade_lanes(engine, numbered_frames(1), {"LC": [rho_pair(0.9, 0.9)]})
    (point,) = points
    point.times, point.shares = [20.0, 22.0], [(0.5, 0.25, 0.25), (0.7, 0.15, 0.15)]
    splits[0].times, splits[1].times = [10.0, 10.0], [13.0, 13.0]
    dense = [network("dense", own=True)]
    (_, row), _ = timed_rows(dense, [lane("dense", [42.0] * 2), point], splits, MACS, "fp32", 1)
    assert row.shares == pytest.approx((0.6, 0.2, 0.2))
    assert row.stage_ms == pytest.approx((10, 3, 8))
    # 4 + 2 + 8 + 2 without exits; 4 + 1 + 0.4 * (2 + 1) + 0.2 * (8 + 2) with them.
    assert row.ceiling == pytest.approx(16 / 8.2)
    assert row.speedup == pytest.approx(np.median([42 / 20, 2 - 2 / 22]))
    assert (row.precision, row.published_fps) == ("fp32", 14.7)


def timed(name: str, fps: float, speedup: float, *, cascade: bool = True) -> Row:
    shares = (0.5, 0.25, 0.25) if cascade else None
    return Row(name, "fake", "fp32", fps, {"p50": 1e3 / fps}, speedup, shares=shares)


def test_the_target_is_of_the_last_row() -> None:
    dense, fast = timed("dense", 10, 1, cascade=False), timed("LC fast", 30, 3)
    assert target_of([dense], None) is None
    for rows, required, expected in (
        ([dense], 12.0, ("dense", 12.0, False)),
        ([dense, fast], None, ("LC fast", TARGET_FPS, True)),
        ([dense, fast], 31.0, ("LC fast", 31.0, False)),
    ):
        target = target_of(rows, required)
        assert target is not None and (target.row, target.required, target.met) == expected


def test_only_operating_points_are_called_slower() -> None:
    rows = [timed("dense (b)", 9, 0.9, cascade=False), timed("LC", 9, 0.95), timed("LC fast", 9, 1)]
    assert slower_rows(rows) == ["LC is slower than the dense network in fp32: 0.95x"]
