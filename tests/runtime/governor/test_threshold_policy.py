"""Fixed thresholds and the governor as one interface."""

from __future__ import annotations

import pytest
from fake_plant import FAST, TOP, curve

from lc_trt.runtime.governor.governor import Governor
from lc_trt.runtime.governor.threshold_policy import FixedThresholds, ThresholdPolicy


@pytest.mark.parametrize("rho", [None, (0.9, 0.8)])
def test_fixed_thresholds_stay(rho: tuple[float, float] | None) -> None:
    policy = FixedThresholds(rho)
    for seconds in (1e-6, 1e3):
        policy.set_sources(3)
        policy.record(seconds, 4)
        assert policy.rho == rho and policy.status() is None


def test_the_status_is_json_of_a_run() -> None:
    policy: ThresholdPolicy = Governor(curve(), 25, tell=lambda line: None)
    before = policy.status()
    assert before is not None
    assert (before.target_fps, before.held, before.held_share, before.episodes) == (25, True, 1, 0)
    assert (before.fast, before.quality) == (FAST, TOP)
    for _ in range(100):
        policy.record(0.08)  # twice the time of a frame
    after = policy.status()
    assert after is not None and (after.held, after.level, after.episodes) == (False, 0, 1)
    assert 0 < after.held_share < 1 and after.mean_level <= before.level
    assert after.summary() == {
        "target_fps": 25,
        "held": round(after.held_share, 4),
        "episodes": 1,
        "mean_level": round(after.mean_level, 4),
        "fast": [*FAST],
        "quality": [*TOP],
    }
