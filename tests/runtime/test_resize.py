"""Frames to the engine's size and maps back."""

from __future__ import annotations

from typing import Any

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from lc_trt.errors import UsageError
from lc_trt.runtime import resize

SIZES = st.tuples(st.integers(1, 70), st.integers(1, 70))


@pytest.mark.parametrize(
    ("frame", "message"),
    [
        (None, "frame is None"),
        ("street.png", "frame is a str"),
        (np.zeros((4, 5), np.uint8), "COLOR_GRAY2BGR"),
        (np.zeros((4, 5, 1), np.uint8), "COLOR_GRAY2BGR"),
        (np.zeros((4, 5, 4), np.uint8), "COLOR_BGRA2BGR"),
        (np.zeros((3, 40, 50), np.uint8), r"transpose\(1, 2, 0\)"),
        (np.zeros((2, 4, 5, 3), np.uint8), r"segmenter\.batch"),
        (np.zeros((4, 5, 2), np.uint8), r"uint8 \[4, 5, 2\]"),
        (np.zeros(5, np.uint8), r"uint8 \[5\]"),
        (np.zeros((0, 5, 3), np.uint8), "empty"),
        (np.zeros((4, 5, 3), np.float32), r"float32 \[4, 5, 3\].*convert"),
        (np.zeros((4, 5, 3), bool), "bool"),
    ],
)
def test_what_is_no_frame_is_named_with_the_way_out(frame: Any, message: str) -> None:
    with pytest.raises(UsageError, match=message):
        resize.check_frame(frame)


def test_a_mirrored_view_becomes_contiguous() -> None:
    frame = np.arange(60, dtype=np.uint8).reshape(4, 5, 3)
    checked = resize.check_frame(frame[:, ::-1])
    assert checked.flags.c_contiguous and np.array_equal(checked, frame[:, ::-1])


def test_shrinking_averages_and_growing_interpolates() -> None:
    stripes = np.zeros((40, 40, 3), np.uint8)
    stripes[:, ::2] = 200
    assert (resize.to_size(stripes, (10, 10)) == 100).all()
    ramp = np.zeros((2, 2, 3), np.uint8)
    ramp[:, 1] = 200
    grown = resize.to_size(ramp, (2, 8))[0, :, 0].astype(int)
    assert (np.diff(grown) >= 0).all() and 0 < grown[3] < grown[4] < 200
    assert resize.to_size(ramp, (2, 2)) is ramp


@given(frame=SIZES, engine=SIZES)
def test_a_letterboxed_frame_keeps_its_shape(
    frame: tuple[int, int], engine: tuple[int, int]
) -> None:
    part = resize.window(frame, engine, "letterbox")
    assert 0 <= part.top <= part.top + part.height <= engine[0]
    assert 0 <= part.left <= part.left + part.width <= engine[1]
    assert part.height == engine[0] or part.width == engine[1]
    scale = min(engine[0] / frame[0], engine[1] / frame[1])
    for found, side in ((part.height, frame[0]), (part.width, frame[1])):
        assert found == 1 or abs(found - side * scale) <= 1
    # In the middle, and grey around.
    assert abs(engine[0] - part.height - 2 * part.top) <= 1
    placed = resize.place(np.zeros((*frame, 3), np.uint8), engine, part)
    assert placed.shape == (*engine, 3)
    assert not part.cut(placed).any()
    assert (placed != 0).sum() == 3 * (engine[0] * engine[1] - part.height * part.width)


def test_an_unknown_fit_is_refused() -> None:
    with pytest.raises(UsageError, match="fit 'crop': expected stretch or letterbox"):
        resize.window((4, 5), (4, 5), "crop")


@given(engine=SIZES, size=SIZES, stride=st.sampled_from([4, 8]), seed=st.integers(0, 99))
def test_maps_come_back_at_the_size_of_the_frame(
    engine: tuple[int, int], size: tuple[int, int], stride: int, seed: int
) -> None:
    rng = np.random.default_rng(seed)
    labels = rng.integers(0, 9, engine, np.uint8)
    cells = (-(-engine[0] // stride), -(-engine[1] // stride))
    stages = rng.integers(1, 4, cells, np.uint8)
    confidence = rng.random(cells, np.float32)
    back = resize.labels_to_size(labels, size)
    assert back.shape == size and back.dtype == np.uint8
    # The label of a pixel is that of the engine's pixel its centre falls on.
    y = ((np.arange(size[0]) + 0.5) * engine[0] / size[0]).astype(int)
    x = ((np.arange(size[1]) + 0.5) * engine[1] / size[1]).astype(int)
    ties = (2 * np.arange(size[0]) + 1) * engine[0] % (2 * size[0]) == 0
    tiesx = (2 * np.arange(size[1]) + 1) * engine[1] % (2 * size[1]) == 0
    exact = ~ties[:, None] & ~tiesx
    assert np.array_equal(back[exact], labels[y][:, x][exact])
    whole = resize.window(size, engine, "stretch")
    stretched = resize.stages_to_size(stages, engine, whole, size)
    assert stretched.shape == size and set(np.unique(stretched)) <= set(np.unique(stages))
    smooth = resize.confidence_to_size(confidence, engine, whole, size)
    assert smooth.shape == size and smooth.dtype == np.float32
    assert confidence.min() - 1e-6 <= smooth.min() and smooth.max() <= confidence.max() + 1e-6


@pytest.mark.parametrize("stride", [4, 8])
def test_a_cell_lies_over_its_own_pixels(stride: int) -> None:
    # The last row and column of cells are cut.
    height, width = 2 * stride - 3, 3 * stride - 1
    cells = np.array([[1, 2, 3], [2, 3, 1]], np.uint8)
    whole = resize.Window(0, 0, height, width)
    pixels = resize.stages_to_size(cells, (height, width), whole, (height, width))
    for y in range(height):
        for x in range(width):
            assert pixels[y, x] == cells[y // stride, x // stride]


def test_a_map_of_no_stride_covers_the_input() -> None:
    assert resize.covered((4, 6), (30, 47)) == (32, 48)
    assert resize.covered((5, 6), (30, 47)) == (30, 47)
    cells = np.arange(6, dtype=np.float32).reshape(2, 3)
    whole = resize.Window(0, 0, 20, 21)
    smooth = resize.confidence_to_size(cells, (20, 21), whole, (20, 21))
    assert smooth[-1, -1] == 5.0
