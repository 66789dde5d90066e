"""Pictures: the right colours in the right places."""

from __future__ import annotations

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from lc_trt.runtime import visualize as draw

COLOURS = ((70, 130, 180), (128, 64, 128), (0, 0, 142))  # RGB


def test_colours_become_bgr_and_labels_without_one_black() -> None:
    labels = np.array([[0, 1], [2, 255]], np.uint8)
    picture = draw.colour_map(labels, COLOURS)
    assert picture.tolist() == [[[180, 130, 70], [128, 64, 128]], [[142, 0, 0], [0, 0, 0]]]


def test_alpha_mixes() -> None:
    frame, colours = np.full((2, 2, 3), 100, np.uint8), np.full((2, 2, 3), 200, np.uint8)
    assert (draw.blend(frame, colours, 0) == 100).all()
    assert (draw.blend(frame, colours, 0.25) == 125).all()
    assert (draw.blend(frame, colours, 1) == 200).all()


def _swatches(picture: np.ndarray, rgb: tuple[int, int, int]) -> int:
    return int((picture == np.array(rgb[::-1], np.uint8)).all(2).sum())


def test_the_legend_names_only_what_is_there() -> None:
    labels = np.zeros((300, 500), np.uint8)
    labels[:100] = 2
    picture = np.full((300, 500, 3), 255, np.uint8)
    draw.class_legend(picture, labels, ("sky", "road", "car"), COLOURS)
    assert _swatches(picture, COLOURS[0]) >= 64 and _swatches(picture, COLOURS[2]) >= 64
    assert _swatches(picture, COLOURS[1]) == 0
    assert (picture[100:] == 255).all()


def test_the_legend_keeps_its_order_when_areas_change() -> None:
    def left_edges(rows: int) -> list[int]:
        labels = np.zeros((300, 500), np.uint8)
        labels[:rows] = 2
        picture = np.full((300, 500, 3), 255, np.uint8)
        draw.class_legend(picture, labels, ("sky", "road", "car"), COLOURS)
        return [
            int(np.flatnonzero((picture == np.array(c[::-1], np.uint8)).all(2).any(0))[0])
            for c in (COLOURS[0], COLOURS[2])
        ]

    assert left_edges(100) == left_edges(200) == sorted(left_edges(100))


def test_the_legend_shows_text_that_differs_with_the_shares() -> None:
    pictures = []
    for shares in ((0.5, 0.3, 0.2), (0.6, 0.2, 0.2)):
        picture = np.zeros((300, 500, 3), np.uint8)
        draw.stage_legend(picture, shares)
        assert all(_swatches(picture, c) >= 64 for c in draw.STAGE_COLOURS)
        assert picture.max() > 250  # white text
        pictures.append(picture)
    assert (pictures[0] != pictures[1]).any()


def test_many_names_wrap_and_leave_two_thirds_free() -> None:
    picture = np.full((240, 320, 3), 255, np.uint8)
    draw.legend(picture, [(f"class number {i}", (i, i, i)) for i in range(60)])
    dark = (picture < 255).any((1, 2))
    assert 40 < dark.sum() <= 80


@given(
    height=st.integers(1, 60),
    width=st.integers(1, 200),
    text=st.text(max_size=12),
)
def test_no_frame_is_too_small_and_no_name_too_strange(height: int, width: int, text: str) -> None:
    picture = np.zeros((height, width, 3), np.uint8)
    draw.legend(picture, [(text, (1, 2, 3)), ("b", (4, 5, 6))])
    assert picture.shape == (height, width, 3)


@pytest.mark.parametrize("height", [120, 272, 720, 1080, 2160])
def test_text_grows_with_the_frame(height: int) -> None:
    picture = np.full((height, 2 * height, 3), 255, np.uint8)
    draw.stage_legend(picture, (1, 0, 0))
    strip = int((picture < 255).any((1, 2)).sum())
    assert 16 <= strip <= height // 3 and strip >= height // 40
