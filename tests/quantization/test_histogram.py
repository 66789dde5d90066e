"""Histograms: exact, whatever the order, and no larger after many batches."""

from __future__ import annotations

import tracemalloc

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from hypothesis.extra import numpy as hnp

from lc_trt.quantization.histogram import BINS, Histogram

PARTS = st.lists(
    hnp.arrays(np.float32, st.integers(0, 50), elements=st.floats(-1e4, 1e4, width=32)),
    min_size=1,
    max_size=5,
)


def filled(parts):
    histogram = Histogram()
    for part in parts:
        histogram.add(part)
    return histogram


@given(PARTS)
def test_counts_do_not_depend_on_the_order_or_the_parts(parts):
    a, b = filled(parts), filled(parts[::-1])
    whole = filled([np.concatenate(parts)])
    for other in (b, whole):
        assert np.array_equal(a.counts, other.counts)
        assert (a.limit, a.low, a.high, a.total, a.zeros) == (
            other.limit, other.low, other.high, other.total, other.zeros,
        )  # fmt: skip


@given(PARTS)
def test_every_value_is_counted_in_its_bin(parts):
    values = np.concatenate(parts).astype(np.float64)
    histogram = filled(parts)
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
def test_what_is_no_number_is_refused(value):
    with pytest.raises(ValueError, match="NaN or infinite"):
        Histogram().add(np.array([1, value], np.float32))


def test_memory_does_not_grow_over_five_thousand_images():
    rng = np.random.default_rng(0)
    batch = [rng.normal(size=(1, 8, 16, 16)).astype(np.float32) for _ in range(3)]

    def see(images):
        for i in range(images):
            for histogram, values in zip(histograms, batch, strict=True):
                histogram.add(values * np.float32(1 + i / 50))

    tracemalloc.start()
    try:
        histograms = [Histogram() for _ in batch]
        see(200)  # what is kept once is there now
        few = tracemalloc.get_traced_memory()[0]
        see(4800)
        many = tracemalloc.get_traced_memory()[0]
    finally:
        tracemalloc.stop()
    assert many - few < 64 * 1024, "bytes that 4,800 more images left behind"
    assert all(h.total == 5000 * batch[0].size for h in histograms)
