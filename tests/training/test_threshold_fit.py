"""Thresholds per class, from counts of what exits change."""

from __future__ import annotations

import hypothesis.strategies as st
import numpy as np
import pytest
from hypothesis import given
from numpy.testing import assert_allclose
from sklearn.isotonic import isotonic_regression

from lc_trt.training.threshold_fit import DisagreementCounts, _non_decreasing

REFERENCE = 0.8


def counts(factors: list[float], cells: int = 200_000, seed: int = 0) -> DisagreementCounts:
    """Cells whose labels change with a probability of factor * (1 - p) by class."""
    rng = np.random.default_rng(seed)
    found = DisagreementCounts(len(factors))
    for label, factor in enumerate(factors):
        doubt = np.exp(rng.uniform(np.log(1e-3), np.log(0.6), cells))
        changed = rng.random(cells) < np.minimum(factor * doubt, 1)
        largest = (1 - doubt).astype(np.float32)
        found.add(np.full(cells, label), largest, 1 - changed.astype(np.float32))
    return found


def test_classes_that_change_as_often_have_the_reference() -> None:
    assert_allclose(counts([0.6, 0.6, 0.6]).thresholds(REFERENCE), REFERENCE, atol=0.02)


def test_all_classes_change_as_often_at_their_thresholds() -> None:
    factors = [0.3, 0.6, 1.2]
    doubts = 1 - counts(factors).thresholds(REFERENCE)
    changes = doubts * factors
    assert_allclose(changes, changes.mean(), rtol=0.15)
    assert doubts[0] > 1.5 * doubts[1] > 2 * doubts[2]


def test_a_class_without_cells_has_the_threshold_of_all_together() -> None:
    found = counts([0.6, 0.6])
    without = DisagreementCounts(3)
    without.cells[:2], without.changed[:2] = found.cells, found.changed
    assert without.thresholds(REFERENCE)[2] == pytest.approx(REFERENCE, abs=0.02)


def test_thresholds_are_finite_without_any_change_or_any_cell() -> None:
    for found in (counts([0.0, 0.0], 1000), DisagreementCounts(2)):
        thresholds = found.thresholds(REFERENCE)
        assert (thresholds > 0).all() and (thresholds < 1).all()


def test_shares_are_counted_where_they_belong() -> None:
    found = DisagreementCounts(2)
    label = np.array([[0, 1], [1, 1]])
    largest = np.array([[0.9, 0.5], [0.5, 1.0]], np.float32)
    kept = np.array([[1.0, 0.25], [0.75, 1.0]], np.float32)
    found.add(label, largest, kept)
    found.add(label, largest, kept)
    assert_allclose(found.cells.sum(1), [2, 6])
    assert_allclose(found.changed.sum(1), [0, 2])
    assert found.cells[1].max() == 4 and found.cells[1, 0] == 2  # p = 1 is in the first bin


@given(
    values=st.lists(st.floats(0, 1), min_size=1, max_size=30),
    seed=st.integers(0, 100),
)
def test_isotonic_regression_is_that_of_scikit_learn(values: list[float], seed: int) -> None:
    weights = np.random.default_rng(seed).uniform(0.1, 5, len(values))
    fitted = _non_decreasing(np.array(values), weights)
    expected = isotonic_regression(values, sample_weight=weights)
    assert_allclose(fitted, expected, atol=1e-9)
