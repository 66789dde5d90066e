"""Thresholds for target shares."""

from __future__ import annotations

from dataclasses import replace

import numpy as np
import pytest
from fake_engine import FakeEngine, numbered_frames, random_levels
from hypothesis import given
from hypothesis import strategies as st
from toy_models import DEFAULT_RHO, FAST_RHO, toy_manifest

from lc_trt.bench.operating_points import ALL_EXIT, find_rho, threshold_for, thresholds
from lc_trt.bench.options import Options
from lc_trt.data.metrics import stage_shares
from lc_trt.data.published import LC, LC_FAST

HALF, LATE = (0.5, 0.25, 0.25), (0.1, 0.1, 0.8)


@given(
    st.lists(st.floats(0, 1, width=32), min_size=1, max_size=40, unique=True),
    st.data(),
)
def test_exactly_count_values_are_greater(values: list[float], data: st.DataObject) -> None:
    count = data.draw(st.integers(0, len(values)))
    confidence = np.array(values, np.float32)
    rho = np.float32(threshold_for(confidence, count))
    assert int((confidence > rho).sum()) == count


def test_ties_exit_late() -> None:
    confidence = np.array([0.9, 0.5, 0.5, 0.5, 0.1], np.float32)
    greater = [int((confidence > np.float32(threshold_for(confidence, k))).sum()) for k in range(6)]
    assert greater == [0, 1, 1, 1, 4, 5]


def test_no_pixel_needs_no_threshold() -> None:
    assert threshold_for(np.zeros(0, np.float32), 0) == ALL_EXIT


@given(st.integers(1, 3), st.integers(1, 6), st.integers(1, 6), st.integers(0, 99), st.data())
def test_shares_are_found_exactly(
    batch: int, height: int, width: int, seed: int, data: st.DataObject
) -> None:
    pixels = batch * height * width
    first = data.draw(st.integers(0, pixels))
    second = data.draw(st.integers(0, pixels - first))
    shape = (batch, 8 * height, 8 * width)
    engine = FakeEngine(random_levels(1, (batch, height, width), seed), shape=shape)
    (image,) = numbered_frames(1, shape)
    shares = (first / pixels, second / pixels, (pixels - first - second) / pixels)
    (rho,) = find_rho(engine, image, [shares])
    assert rho.dtype == np.float32
    stages = engine.run(image, rho).stages
    assert stages is not None
    assert stage_shares(stages) == pytest.approx(shares)


def test_targets_share_the_run_of_stage_1() -> None:
    engine = FakeEngine(random_levels(1))
    find_rho(engine, numbered_frames(1)[0], [HALF, LATE])
    assert len(engine.passes) == 3
    assert engine.passes[0] == (0, (ALL_EXIT, ALL_EXIT))


def test_a_dense_engine_has_no_shares() -> None:
    with pytest.raises(ValueError, match="rho"):
        find_rho(FakeEngine(None), numbered_frames(1)[0], [HALF])


def test_stage_shares() -> None:
    stages = np.array([[[1, 1, 2, 3]], [[1, 1, 3, 3]]], np.uint8)
    assert stage_shares(stages) == (0.5, 0.125, 0.375)


def test_trained_weights_have_thresholds_of_their_own_and_others_reach_shares() -> None:
    shape = (1, 80, 80)  # 100 cells
    engine = FakeEngine(random_levels(2, (1, 10, 10)), shape=shape)
    frames = numbered_frames(2, shape)
    untrained = toy_manifest()
    trained = replace(untrained, trained={"val_miou": 0.5})
    own = thresholds(trained, engine, frames, Options())
    assert engine.passes == []
    for row, rho in (("LC", DEFAULT_RHO), ("LC fast", FAST_RHO)):
        assert [found.tolist() for found in own[row]] == [pytest.approx(rho)] * 2
    asked = thresholds(trained, engine, frames, Options(shares={"LC fast": HALF}))
    assert [found.tolist() for found in asked["LC"]] == [pytest.approx(DEFAULT_RHO)] * 2
    published = thresholds(untrained, engine, frames, Options())
    for row, found, expected in (
        ("LC fast", asked, HALF[0]), ("LC", published, LC.shares[0]),
        ("LC fast", published, LC_FAST.shares[0]),
    ):  # fmt: skip
        first = [
            stage_shares(engine.run(frame, rho).stages)[0]
            for frame, rho in zip(frames, found[row], strict=True)
        ]
        # Shares vary by frame, around their mean.
        assert np.mean(first) == pytest.approx(expected, abs=0.02)
