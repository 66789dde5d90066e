"""Rows of the neighbours of a pixel."""

from __future__ import annotations

from lc_trt.compiler.lower_standard.neighbours import neighbour_positions, window


def test_neighbours_stop_at_the_image_s_border():
    # Two images of 2 x 2; a 1 x 3 window: left, itself, right.
    found = neighbour_positions((2, 2, 2), window((1, 3), (1, 1)))
    assert found.tolist() == [
        [0, 1, 2], [1, 2, 0], [0, 3, 4], [3, 4, 0],
        [0, 5, 6], [5, 6, 0], [0, 7, 8], [7, 8, 0],
    ]  # fmt: skip
