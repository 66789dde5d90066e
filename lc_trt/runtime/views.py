"""The names of the pictures a result can be drawn as."""

from __future__ import annotations

from enum import StrEnum


class View(StrEnum):
    """What to draw of a result."""

    OVERLAY = "overlay"
    MASK = "mask"
    STAGES = "stages"
    SIDE_BY_SIDE = "side-by-side"
