"""Detects pixels near class boundaries.

A boundary is where two classes meet. Void (label 255) is not a class, so its outline is not a
boundary; but VOC labels a strip of void, five pixels wide, along every object, and the two classes
meet inside it. Void is therefore closed first: a void pixel within `RADIUS` of a labelled one takes
the class of the nearest one (the lowest class index in a tie); void further inside is ignored. A
pixel is then *near a boundary* if a pixel of another class lies within `RADIUS` of it. Distances
are Euclidean, between pixel centers, in pixels of the label map. Classes thus meet across strips of
void up to 8 pixels wide.
"""

from __future__ import annotations

from collections.abc import Iterator
from functools import cache

import numpy as np
import numpy.typing as npt

from lc_trt.data.classes import IGNORE

RADIUS = 3  # pixels


def close_void(label: npt.NDArray[np.uint8], radius: int = RADIUS) -> npt.NDArray[np.uint8]:
    """Replace void within ``radius`` of a class by the nearest class.

    Args:
        label: class index per pixel, uint8 [H, W]; 255 is void.
        radius: in pixels.

    Returns:
        The closed label map, uint8 [H, W].
    """
    closed = label.copy()
    if not (label == IGNORE).any():
        return closed
    for ring in _rings(radius):
        # Void is the largest value, so the minimum over a ring is its lowest class, if any.
        lowest = np.minimum.reduce(list(_shifted(label, ring, radius)))
        np.copyto(closed, lowest, where=closed == IGNORE)
    return closed


def near_boundary(
    label: npt.NDArray[np.uint8], radius: int = RADIUS
) -> tuple[npt.NDArray[np.bool_], npt.NDArray[np.bool_]]:
    """Find the pixels near a class boundary.

    Args:
        label: class index per pixel, uint8 [H, W]; 255 is void.
        radius: in pixels.

    Returns:
        Pixels near a boundary, and pixels that are not void after closing; bool [H, W] each. The
        first is a subset of the second.
    """
    closed = close_void(label, radius)
    counted = closed != IGNORE
    near = np.zeros(label.shape, np.bool_)
    for ring in _rings(radius):
        for other in _shifted(closed, ring, radius):
            near |= (other != closed) & (other != IGNORE)
    return near & counted, counted


@cache
def _rings(radius: int) -> tuple[tuple[tuple[int, int], ...], ...]:
    """Offsets (dy, dx) of a disc without its center, grouped by distance, nearest first."""
    steps = range(-radius, radius + 1)
    by_distance: dict[int, list[tuple[int, int]]] = {}
    for dy in steps:
        for dx in steps:
            if 0 < dy * dy + dx * dx <= radius * radius:
                by_distance.setdefault(dy * dy + dx * dx, []).append((dy, dx))
    return tuple(tuple(by_distance[squared]) for squared in sorted(by_distance))


def _shifted(
    label: npt.NDArray[np.uint8], offsets: tuple[tuple[int, int], ...], radius: int
) -> Iterator[npt.NDArray[np.uint8]]:
    """The map shifted by each offset; outside the image is void."""
    height, width = label.shape
    padded = np.pad(label, radius, constant_values=IGNORE)
    for dy, dx in offsets:
        top, left = radius + dy, radius + dx
        yield padded[top : top + height, left : left + width]
