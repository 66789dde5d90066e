"""The published figures, as far as they can be held against each other."""

from __future__ import annotations

import pytest

from lc_trt.evaluation.published import (
    LEFT_BY_CLASS,
    METHODS,
    RHO_TABLE,
    VOC,
    Method,
)


@pytest.mark.parametrize("method", METHODS, ids=lambda method: method.title)
def test_the_mean_leaves_a_likely_background(method: Method) -> None:
    # The mean is over 21 classes and the background's is not published. It is nearly always the
    # best class, and what is wrong with another one's value comes out as this one's.
    assert len(method.iou) == len(VOC) - 1
    background = len(VOC) * method.miou - sum(method.iou)
    assert 90 <= background <= 100
    assert background > max(method.iou) - 3


def test_labels_and_titles() -> None:
    lc = METHODS[4]
    assert (lc.of(0), lc.of(VOC.names.index("bicycle")), lc.title) == (None, 63.0, "LC")
    assert METHODS[-1].title == "LC +COCO"
    assert len({method.title for method in METHODS}) == len(METHODS)


def test_shares_are_possible() -> None:
    assert all(sum(row.left) <= 100 for row in RHO_TABLE)
    for name, shares in LEFT_BY_CLASS.items():
        assert name in VOC.names
        assert sum(shares) == pytest.approx(100, abs=0.15)
