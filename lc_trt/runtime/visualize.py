"""Draw class and stage colours on frames. Colours are RGB, images BGR."""

from __future__ import annotations

from collections.abc import Sequence
from enum import StrEnum
from functools import lru_cache
from typing import TypeAlias

import cv2
import numpy as np
import numpy.typing as npt

Image: TypeAlias = npt.NDArray[np.uint8]
Colour: TypeAlias = tuple[int, int, int]

STAGE_COLOURS: tuple[Colour, ...] = ((46, 178, 76), (255, 184, 28), (228, 40, 56))  # RGB
STAGE_NAMES = ("easy", "moderate", "hard")
MIN_SHARE = 0.002  # of the pixels, for a class to appear in the legend

_FONT = cv2.FONT_HERSHEY_SIMPLEX
_STRIP_BRIGHTNESS = 0.35  # of the frame under the legend


class View(StrEnum):
    """A visualisation of a result."""

    OVERLAY = "overlay"
    MASK = "mask"
    STAGES = "stages"
    SIDE_BY_SIDE = "side-by-side"


def colour_map(labels: Image, colours: tuple[Colour, ...]) -> Image:
    """Colour a label map.

    Args:
        labels: uint8 [H, W].
        colours: RGB, indexed by label; labels without a colour are black.

    Returns:
        BGR uint8 [H, W, 3].
    """
    return _image(cv2.applyColorMap(labels, _palette(colours)))


def blend(frame: Image, colours: Image, alpha: float) -> Image:
    """Blend colours over a frame.

    Args:
        frame: BGR uint8 [H, W, 3].
        colours: BGR uint8 [H, W, 3].
        alpha: opacity of the colours, 0 to 1.
    """
    return _image(cv2.addWeighted(colours, alpha, frame, 1 - alpha, 0))


def grey(frame: Image) -> Image:
    """Convert a frame to grey, keeping three channels.

    Args:
        frame: BGR uint8 [H, W, 3].
    """
    return _image(cv2.cvtColor(cv2.cvtColor(frame, cv2.COLOR_BGR2GRAY), cv2.COLOR_GRAY2BGR))


def side_by_side(pictures: Sequence[Image]) -> Image:
    """Concatenate pictures from left to right.

    Args:
        pictures: BGR uint8 [H, W, 3] each, of equal height.
    """
    return _image(cv2.hconcat(pictures))


def class_legend(
    picture: Image, labels: Image, names: Sequence[str], colours: Sequence[Colour]
) -> None:
    """Draw a legend of the classes in a label map, in place.

    Classes are ordered by label, which keeps their positions steady in a video.

    Args:
        picture: BGR uint8 [H, W, 3].
        labels: uint8 [H, W].
        names: class names, indexed by label.
        colours: RGB, indexed by label.
    """
    counts = np.bincount(labels.ravel(), minlength=256)[: len(names)]
    present = np.flatnonzero(counts >= MIN_SHARE * labels.size).tolist()
    legend(picture, [(names[k], colours[k]) for k in present])


def stage_legend(picture: Image, shares: Sequence[float]) -> None:
    """Draw a legend of the stages and their shares, in place.

    Args:
        picture: BGR uint8 [H, W, 3].
        shares: share of the pixels per stage, 0 to 1.
    """
    texts = [
        f"stage {i} {name} {share:.0%}"
        for i, (name, share) in enumerate(zip(STAGE_NAMES, shares, strict=True), 1)
    ]
    legend(picture, list(zip(texts, STAGE_COLOURS, strict=True)))


def legend(picture: Image, entries: Sequence[tuple[str, Colour]]) -> None:
    """Draw a legend on a dark strip along the top, in place.

    Entries wrap; those that would extend below a third of the picture are omitted.

    Args:
        picture: BGR uint8 [H, W, 3].
        entries: text and RGB colour of each swatch.
    """
    height, width = picture.shape[:2]
    scale = min(max(height / 640, 0.45), 1.6)
    line = _text("Ag", scale).shape[0]
    unit = round(0.7 * line)  # edge length of a swatch and unit of the gaps
    row_height = line + unit // 2
    rows = max(1, height // (3 * row_height))
    placed: list[tuple[int, int, Image, Colour]] = []
    x, row = unit, 0
    for text, colour in entries:
        tile = _text(text, scale)
        entry_width = unit + unit // 2 + tile.shape[1]
        if x + entry_width > width and x > unit:
            x, row = unit, row + 1
        if row >= rows or x + entry_width > width or row_height > height:
            break
        placed.append((x, row * row_height, tile, colour))
        x += entry_width + unit
    if not placed:
        return
    strip = picture[: placed[-1][1] + row_height]
    strip[:] = (strip * _STRIP_BRIGHTNESS).astype(np.uint8)
    for x, y, tile, colour in placed:
        top = y + (row_height - unit) // 2
        # The pale edge keeps a dark colour visible on the dark strip.
        cv2.rectangle(picture, (x - 1, top - 1, unit + 2, unit + 2), (210, 210, 210), 1)
        strip[top : top + unit, x : x + unit] = colour[::-1]
        left, upper = x + unit + unit // 2, y + unit // 4
        box = strip[upper : upper + line, left : left + tile.shape[1]]
        # Blend white by coverage, for smooth edges on any background.
        box[:] = box + (255 - box) * tile[:, :, None].astype(np.uint16) // 255


@lru_cache(maxsize=512)
def _text(text: str, scale: float) -> Image:
    """Coverage [h, w] of a line of text, 0 to 255; cached, because drawing takes milliseconds."""
    # OpenCV 4 fonts are ASCII-only and draw one glyph per byte of other characters.
    text = text.encode("ascii", "replace").decode()
    thickness = 1 if scale < 1 else 2
    (width, _), _ = cv2.getTextSize(text, _FONT, scale, thickness)
    (_, height), below = cv2.getTextSize("Ag", _FONT, scale, thickness)
    below = max(below, round(height / 3))  # OpenCV 5 reports less than it draws
    tile = np.zeros((height + below + 2, width + 2), np.uint8)
    cv2.putText(tile, text, (1, height + 1), _FONT, scale, 255, thickness, cv2.LINE_AA)
    return tile


@lru_cache(maxsize=8)
def _palette(colours: tuple[Colour, ...]) -> Image:
    palette = np.zeros((256, 1, 3), np.uint8)
    palette[: len(colours), 0] = [colour[::-1] for colour in colours]
    return palette


def _image(array: npt.NDArray[np.generic] | cv2.Mat) -> Image:
    return np.asarray(array, np.uint8)
