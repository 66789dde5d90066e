"""The published figures, as far as they can be held against each other."""

from __future__ import annotations

import pytest

from lc_trt.data.published import (
    EXIT_SHARES_BY_CLASS,
    METHODS,
    POINTS,
    RHO_TABLE,
    SPEEDS,
    TARGET_FPS,
    VOC,
    Method,
    dense_fps,
    rho_row,
)
from lc_trt.model.presets import BASELINES, PRESETS


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
    assert (lc.class_iou(0), lc.class_iou(VOC.names.index("bicycle")), lc.title) == (
        None,
        63.0,
        "LC",
    )
    assert METHODS[-1].title == "LC +COCO"
    assert len({method.title for method in METHODS}) == len(METHODS)


def test_shares_are_possible() -> None:
    assert all(sum(row.exited) <= 100 for row in RHO_TABLE)
    for name, shares in EXIT_SHARES_BY_CLASS.items():
        assert name in VOC.names
        assert sum(shares) == pytest.approx(100, abs=0.15)


@pytest.mark.parametrize("row", POINTS)
def test_times_and_shares_sum_up(row: str) -> None:
    point = POINTS[row]
    assert sum(point.shares) == pytest.approx(1)
    assert rho_row((point.row.rho, point.row.rho)) is point.row
    assert (1e3 / point.fps, point.row.miou) in [
        (pytest.approx(ms, rel=0.05), miou) for ms, miou in SPEEDS.values()
    ]
    # The poster's time is that of its frame rate, rounded and with what surrounds the stages.
    assert 1e3 / sum(point.stage_ms) == pytest.approx(point.fps, rel=0.06)


def test_points_are_the_ones_that_it_names() -> None:
    assert POINTS["LC"].shares == pytest.approx((0.23, 0.29, 0.48))
    assert POINTS["LC fast"].shares == pytest.approx((0.56, 0.29, 0.15))
    assert [point.row.rho for point in POINTS.values()] == [0.985, 0.8]
    assert rho_row((0.985, 0.8)) is None


def test_the_target_is_the_fast_mode() -> None:
    assert POINTS["LC fast"].fps == TARGET_FPS


def test_every_network_of_ours_has_its_published_row() -> None:
    assert {dense_fps(name) for name in (*PRESETS, *BASELINES)} == {5.7, 7.1, 9.0}
    assert dense_fps("my-network") is None
