"""The load factor from single passes: steady under noise, quick at a change."""

from __future__ import annotations

import numpy as np
import pytest

from lc_trt.runtime.governor.load_estimator import LONG, LoadEstimator

PERIOD = 0.04  # seconds


def fed(load: LoadEstimator, ratios: list[float] | np.ndarray) -> list[float]:
    """The factor after each pass."""
    values = []
    for ratio in ratios:
        load.update(float(ratio), PERIOD, PERIOD)
        values.append(load.value)
    return values


def noisy(count: int, factor: float, seed: int = 0, noise: float = 0.05) -> np.ndarray:
    return factor * np.exp(np.random.default_rng(seed).normal(0, noise, count))


@pytest.mark.parametrize("factor", [0.2, 1.0, 7.0])
def test_passes_that_are_all_alike_are_the_factor(factor: float) -> None:
    load = LoadEstimator()
    fed(load, [factor] * 100)
    assert load.value == pytest.approx(factor, rel=0.01)


@pytest.mark.parametrize("seed", range(5))
def test_the_factor_is_the_mean_and_moves_less_than_the_noise(seed: int) -> None:
    ratios = noisy(1000, 1.5, seed)
    values = fed(LoadEstimator(), ratios)[500:]
    assert np.mean(values) == pytest.approx(ratios[500:].mean(), rel=0.02)
    assert np.std(values) < 0.3 * ratios.std()


@pytest.mark.parametrize("step", [1.3, 2.0, 1 / 1.3, 0.5])
def test_a_change_is_followed_sooner_than_an_average_would(step: float) -> None:
    load = LoadEstimator()
    fed(load, noisy(200, 1.0))
    passes = round(0.6 / PERIOD)
    assert passes * PERIOD < LONG / 2
    fed(load, noisy(passes, step, seed=1))
    assert abs(np.log(load.value / step)) < 0.25 * abs(np.log(step))


def test_one_slow_pass_is_no_change() -> None:
    load = LoadEstimator()
    fed(load, noisy(200, 1.0))
    before = load.value
    assert fed(load, [50.0])[0] == pytest.approx(before, rel=0.1)


def test_two_estimators_of_the_same_passes_agree() -> None:
    ratios = noisy(100, 2.0)
    assert fed(LoadEstimator(), ratios) == fed(LoadEstimator(), ratios)
