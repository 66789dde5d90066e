"""The published figures agree among themselves."""

from __future__ import annotations

import pytest

from lc_trt.bench.published import POINTS, TARGET_FPS, dense_fps
from lc_trt.model.presets import BASELINES, PRESETS


@pytest.mark.parametrize("row", POINTS)
def test_times_and_shares_sum_up(row: str) -> None:
    point = POINTS[row]
    assert sum(point.shares) == pytest.approx(1)
    # The poster's time is that of its frame rate, rounded and with what surrounds the stages.
    assert 1e3 / sum(point.stage_ms) == pytest.approx(point.fps, rel=0.06)


def test_the_target_is_the_fast_mode() -> None:
    assert POINTS["LC fast"].fps == TARGET_FPS


def test_every_network_of_ours_has_its_published_row() -> None:
    assert {dense_fps(name) for name in (*PRESETS, *BASELINES)} == {5.7, 7.1, 9.0}
    assert dense_fps("my-network") is None
