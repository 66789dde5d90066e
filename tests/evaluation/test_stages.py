"""Exit shares per class, counted pixel by pixel."""

from __future__ import annotations

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from hypothesis.extra import numpy as hnp

from lc_trt.data.classes import IGNORE
from lc_trt.evaluation.boundary import near_boundary
from lc_trt.evaluation.stages import StageCounts

SHAPE = st.tuples(st.integers(1, 9), st.integers(1, 9))


@given(st.lists(SHAPE, min_size=1, max_size=3), st.data())
def test_against_loops(shapes: list[tuple[int, int]], data: st.DataObject) -> None:
    counts = StageCounts(4)
    pixels: list[tuple[int, int]] = []
    spots: list[tuple[int, bool]] = []
    for shape in shapes:
        labels = st.sampled_from([0, 1, 2, IGNORE])
        label = data.draw(hnp.arrays(np.uint8, shape, elements=labels))
        stages = data.draw(hnp.arrays(np.uint8, shape, elements=st.integers(1, 3)))
        counts.add(label, stages)
        near, counted = near_boundary(label)
        for y in range(shape[0]):
            for x in range(shape[1]):
                if label[y, x] != IGNORE:
                    pixels.append((int(label[y, x]), int(stages[y, x])))
                if counted[y, x]:
                    spots.append((int(stages[y, x]), bool(near[y, x])))
    exits = counts.figures()
    for k in range(4):
        of_class = [stage for label, stage in pixels if label == k]
        if not of_class:
            assert exits.by_class[k] is None
            continue
        expected = tuple(of_class.count(stage) / len(of_class) for stage in (1, 2, 3))
        assert exits.by_class[k] == pytest.approx(expected)
    for stage in (1, 2, 3):
        of_stage = [near for s, near in spots if s == stage]
        expected_near = sum(of_stage) / len(of_stage) if of_stage else None
        assert exits.near_boundary[stage - 1] == pytest.approx(expected_near)


def test_by_hand() -> None:
    counts = StageCounts(3)
    label = np.array([[0] * 6 + [1] * 6], np.uint8)
    stages = np.array([[1, 1, 1, 2, 3, 3, 3, 3, 2, 1, 1, 2]], np.uint8)
    counts.add(label, stages)
    exits = counts.figures()
    assert exits.by_class == (
        pytest.approx((3 / 6, 1 / 6, 2 / 6)),
        pytest.approx((2 / 6, 2 / 6, 2 / 6)),
        None,
    )
    # Near are pixels 3 to 8: none of the easy, two of three moderate, all of the hard ones.
    assert exits.near_boundary == (0, pytest.approx(2 / 3), 1)
