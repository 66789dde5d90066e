"""Each method against a slow, independent computation on the values themselves."""

from __future__ import annotations

import numpy as np
import pytest

from lc_trt.errors import UsageError
from lc_trt.quantization.histogram import Histogram
from lc_trt.quantization.range_estimators import METHODS, find_range


def histogram(values):
    result = Histogram()
    result.add(np.asarray(values, np.float32))
    return result


@pytest.fixture(scope="module")
def values():
    """Mostly small values and a long tail, where the methods differ."""
    rng = np.random.default_rng(0)
    tail = np.abs(rng.standard_t(2.5, 60_000)).astype(np.float32)
    return np.concatenate([np.zeros(40_000, np.float32), tail])


def error(values, top, levels=255):
    step = top / levels
    quantised = np.clip(np.rint(values / step), 0, levels) * step
    return float(((values - quantised) ** 2).mean())


def test_minmax_covers_all(values):
    assert find_range(histogram(values), "minmax") == (0.0, float(values.max()))
    low, high = find_range(histogram([-3.0, 1.0, 2.0]), "minmax")
    assert (low, high) == (-3.0, 2.0)


@pytest.mark.parametrize("percentile", [90.0, 99.0, 99.9])
def test_percentile_covers_its_share(values, percentile):
    counts = histogram(values)
    _, high = find_range(counts, "percentile", percentile)
    assert high == pytest.approx(np.percentile(values, percentile), abs=2 * counts.width)
    assert (values <= high).mean() * 100 >= percentile


def test_mse_finds_the_smallest_error(values):
    _, high = find_range(histogram(values), "mse")
    tops = np.linspace(0.5, float(values.max()), 400)
    best = min(error(values, top) for top in tops)
    assert error(values, high) <= best * 1.05
    assert error(values, high) < error(values, float(values.max()))


def test_entropy_clips_a_tail_and_no_uniform_distribution(values):
    _, high = find_range(histogram(values), "entropy")
    assert np.percentile(values, 95) < high < values.max() * 0.6
    uniform = np.linspace(0, 1, 100_000, dtype=np.float32)
    assert find_range(histogram(uniform), "entropy")[1] == pytest.approx(1.0, rel=0.02)


@pytest.mark.parametrize("method", METHODS)
def test_ranges_contain_zero_and_lie_within_the_values(values, method):
    for sample in (values, -values, np.concatenate([values, -values / 3]), values * 1e-9):
        counts = histogram(sample)
        low, high = find_range(counts, method)
        assert counts.low <= low <= 0 <= high <= counts.high and high - low > 0
    assert find_range(histogram(np.zeros(5)), method) == (0.0, 0.0)
    low, high = find_range(histogram([0.7]), method)
    assert low == 0 and high == pytest.approx(0.7, rel=1e-3)


def test_unknown_methods_and_percentiles_are_rejected(values):
    with pytest.raises(UsageError, match="unknown method 'best': expected minmax, percentile"):
        find_range(histogram(values), "best")
    with pytest.raises(UsageError, match="percentile 10"):
        find_range(histogram(values), "percentile", 10)
