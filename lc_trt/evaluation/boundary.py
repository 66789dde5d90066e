"""Which pixels lie near a class boundary.

A boundary is where two classes meet. Void (label 255) is no class, so its own outline is no
boundary; but VOC draws a strip of void, five pixels wide, along every object, and the two
classes meet somewhere inside it. So void is closed first: each void pixel within `RADIUS` of a
labelled one takes the nearest one's class (of several equally near, the lowest number); what is
deeper inside stays void and counts nowhere. Then a pixel is *near a boundary* if a pixel of
another class lies within `RADIUS` of it. Distances are Euclidean, from centre to centre, in
pixels of the label map. So classes meet across a strip of void up to 8 pixels wide.
"""

from __future__ import annotations

from collections.abc import Iterator
from functools import cache

import numpy as np
import numpy.typing as npt

from lc_trt.data.classes import IGNORE

RADIUS = 3  # pixels


def close_void(label: npt.NDArray[np.uint8], radius: int = RADIUS) -> npt.NDArray[np.uint8]:
    """A label map, uint8 [H, W], whose void within ``radius`` of a class has the nearest one's."""
    closed = label.copy()
    if not (label == IGNORE).any():
        return closed
    for ring in _rings(radius):
        # Void is the largest value, so the minimum over a ring is its lowest class, if it has one.
        lowest = np.minimum.reduce(list(_shifted(label, ring, radius)))
        np.copyto(closed, lowest, where=closed == IGNORE)
    return closed


def near_boundary(
    label: npt.NDArray[np.uint8], radius: int = RADIUS
) -> tuple[npt.NDArray[np.bool_], npt.NDArray[np.bool_]]:
    """Where a label map, uint8 [H, W], is near a boundary, and which pixels count at all.

    Returns:
        Two bool [H, W]; the first is true only where the second is.
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
    """The offsets (dy, dx) of a disc without its centre, by distance, nearest first."""
    steps = range(-radius, radius + 1)
    found: dict[int, list[tuple[int, int]]] = {}
    for dy in steps:
        for dx in steps:
            if 0 < dy * dy + dx * dx <= radius * radius:
                found.setdefault(dy * dy + dx * dx, []).append((dy, dx))
    return tuple(tuple(found[squared]) for squared in sorted(found))


def _shifted(
    label: npt.NDArray[np.uint8], offsets: tuple[tuple[int, int], ...], radius: int
) -> Iterator[npt.NDArray[np.uint8]]:
    """The map moved by each offset; beyond the image is void."""
    height, width = label.shape
    padded = np.pad(label, radius, constant_values=IGNORE)
    for dy, dx in offsets:
        top, left = radius + dy, radius + dx
        yield padded[top : top + height, left : left + width]
