"""Histograms against NumPy: exact, independent of the order, of constant size."""

from __future__ import annotations

import tracemalloc

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from hypothesis.extra import numpy as hnp

from lc_trt.quantization.histogram import BINS, Histogram

BATCHES = st.lists(
    hnp.arrays(np.float32, st.integers(0, 50), elements=st.floats(-1e4, 1e4, width=32)),
    min_size=1,
    max_size=5,
)


def filled(batches):
    histogram = Histogram()
    for batch in batches:
        histogram.add(batch)
    return histogram


@given(BATCHES)
def test_counts_do_not_depend_on_order_or_batches(batches):
    a, b = filled(batches), filled(batches[::-1])
    whole = filled([np.concatenate(batches)])
    for other in (b, whole):
        assert np.array_equal(a.counts, other.counts)
        assert (a.limit, a.low, a.high, a.total, a.zeros) == (
            other.limit, other.low, other.high, other.total, other.zeros,
        )  # fmt: skip


@given(BATCHES)
def test_every_value_is_counted_in_its_bin(batches):
    values = np.concatenate(batches).astype(np.float64)
    histogram = filled(batches)
    assert histogram.total == values.size
    assert histogram.zeros == (values == 0).sum()
    assert (histogram.low, histogram.high) == (
        min(0.0, values.min(initial=0)), max(0.0, values.max(initial=0)),
    )  # fmt: skip
    magnitudes = np.abs(values[values != 0])
    if magnitudes.size:
        bins = (magnitudes / histogram.limit * BINS).astype(int)
        assert np.array_equal(histogram.counts, np.bincount(bins, minlength=BINS))


@pytest.mark.parametrize("value", [np.nan, np.inf, -np.inf])
def test_nan_and_infinity_are_rejected(value):
    with pytest.raises(ValueError, match="NaN or infinite"):
        Histogram().add(np.array([1, value], np.float32))


def test_memory_does_not_grow_over_five_thousand_images():
    rng = np.random.default_rng(0)
    batch = [rng.normal(size=(1, 8, 16, 16)).astype(np.float32) for _ in range(3)]

    def add(images):
        for i in range(images):
            for histogram, values in zip(histograms, batch, strict=True):
                histogram.add(values * np.float32(1 + i / 50))

    tracemalloc.start()
    try:
        histograms = [Histogram() for _ in batch]
        add(200)  # allocates what is cached once
        few = tracemalloc.get_traced_memory()[0]
        add(4800)
        many = tracemalloc.get_traced_memory()[0]
    finally:
        tracemalloc.stop()
    assert many - few < 64 * 1024, "bytes allocated by 4,800 more images"
    assert all(h.total == 5000 * batch[0].size for h in histograms)
