"""Random changes of light: what they do, and that they leave the image's form alone."""

from __future__ import annotations

import numpy as np
import pytest

from lc_trt.training.photometric import apply_gamma, haze, jitter_colour, noise, shadow


def test_jitter_changes_brightness_contrast_and_saturation_within_its_bounds() -> None:
    image = np.full((8, 8, 3), (60, 100, 140), np.uint8)
    image[4:] //= 2
    rng = np.random.default_rng(0)
    assert np.array_equal(jitter_colour(image, 0.0, rng), image)
    draws = np.stack([jitter_colour(image, 0.3, rng) for _ in range(300)]).astype(float)
    brightness = draws.mean((1, 2, 3)) / image.mean()
    contrast = np.ptp(draws.mean(3), axis=(1, 2)) / np.ptp(image.mean(2)) / brightness
    spread = draws[:, 0, 0].max(1) - draws[:, 0, 0].min(1)
    for values in (brightness, contrast):
        assert 0.63 < values.min() < 0.76 and 1.24 < values.max() < 1.37
    assert spread.min() < 60 < 110 < spread.max()


def test_gamma_bends_the_curve_between_black_and_white() -> None:
    image = np.zeros((1, 3, 3), np.uint8)
    image[0, :, :] = np.array([0, 128, 255])[:, None]
    assert np.array_equal(apply_gamma(image, 1.0), image)
    assert apply_gamma(image, 2.0)[0, :, 0].tolist() == [0, 64, 255]
    assert apply_gamma(image, 0.5)[0, 1, 0] == 181


@pytest.mark.parametrize("effect", [haze, shadow, noise])
def test_effects_keep_shape_and_type_and_change_something(effect) -> None:
    image = np.full((40, 60, 3), 90, np.uint8)
    for seed in range(20):
        changed = effect(image, np.random.default_rng(seed))
        assert (changed.shape, changed.dtype) == (image.shape, np.uint8)
        assert not np.array_equal(changed, image)


def test_haze_is_lighter_towards_the_top() -> None:
    changed = haze(np.full((40, 60, 3), 90, np.uint8), np.random.default_rng(0))
    rows = changed.mean((1, 2))
    assert (np.diff(rows) <= 0).all() and rows[0] > rows[-1] >= 90


def test_a_shadow_darkens_one_side_only() -> None:
    changed = shadow(np.full((40, 60, 3), 90, np.uint8), np.random.default_rng(0))
    assert changed.max() == 90 and changed.min() < 75
