"""Pixels near a class boundary, against the definition spelled out pixel by pixel."""

from __future__ import annotations

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from hypothesis.extra import numpy as hnp

from lc_trt.data.classes import IGNORE
from lc_trt.evaluation.boundary import close_void, near_boundary

VOID = IGNORE


def row(*labels: int) -> np.ndarray:
    return np.array([labels], np.uint8)


def brute_close(label: np.ndarray, radius: int) -> np.ndarray:
    closed = label.copy()
    known = [(int(y), int(x)) for y, x in np.argwhere(label != VOID)]
    for y, x in np.argwhere(label == VOID):
        near = [((y - v) ** 2 + (x - u) ** 2, int(label[v, u])) for v, u in known]
        near = [pair for pair in near if pair[0] <= radius**2]
        if near:
            closed[y, x] = min(near)[1]  # the nearest; of equally near ones the lowest class
    return closed


def brute_near(label: np.ndarray, radius: int) -> tuple[np.ndarray, np.ndarray]:
    closed = brute_close(label, radius)
    near = np.zeros(label.shape, bool)
    known = [(int(y), int(x)) for y, x in np.argwhere(closed != VOID)]
    for y, x in known:
        near[y, x] = any(
            closed[v, u] != closed[y, x] and (y - v) ** 2 + (x - u) ** 2 <= radius**2
            for v, u in known
        )
    return near, closed != VOID


LABELS = hnp.arrays(
    np.uint8,
    hnp.array_shapes(min_dims=2, max_dims=2, max_side=11),
    # Mostly void, or no void pixel would be far from every class.
    elements=st.sampled_from([0, 1, 2] + [VOID] * 9) | st.sampled_from([0, 1, VOID]),
)


@given(LABELS, st.integers(1, 3))
def test_against_the_definition(label: np.ndarray, radius: int) -> None:
    before = label.copy()
    assert np.array_equal(close_void(label, radius), brute_close(label, radius))
    near, counted = near_boundary(label, radius)
    expected = brute_near(label, radius)
    assert np.array_equal(near, expected[0])
    assert np.array_equal(counted, expected[1])
    assert np.array_equal(label, before)


def test_three_pixels_on_each_side() -> None:
    near, counted = near_boundary(row(*[0] * 6, *[1] * 6))
    assert np.flatnonzero(near).tolist() == [3, 4, 5, 6, 7, 8]
    assert counted.all()


def test_the_outline_of_a_void_area_is_no_boundary() -> None:
    near, counted = near_boundary(row(*[0] * 6, *[VOID] * 20))
    assert not near.any()
    assert counted.sum() == 9  # the void within three pixels counts as the class beside it


def test_classes_meet_inside_a_strip_of_void_as_voc_draws_it() -> None:
    label = row(*[0] * 8, *[VOID] * 5, *[1] * 8)
    assert close_void(label)[0].tolist() == [0] * 11 + [1] * 10
    near, counted = near_boundary(label)
    assert np.flatnonzero(near).tolist() == [8, 9, 10, 11, 12, 13]
    assert counted.all()


@pytest.mark.parametrize(("width", "meets"), [(8, True), (9, False)])
def test_the_widest_void_strip_that_joins_classes(width: int, meets: bool) -> None:
    near, counted = near_boundary(row(*[0] * 8, *[VOID] * width, *[1] * 8))
    assert near.any() == meets
    assert (~counted).sum() == width - 6


def test_an_object_outlined_in_void_within_its_own_class_has_no_boundary() -> None:
    near, _ = near_boundary(row(*[4] * 8, *[VOID] * 5, *[4] * 8))
    assert not near.any()
