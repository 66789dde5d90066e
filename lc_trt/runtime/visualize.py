"""Class and stage colours on frames. Colours in manifests are RGB, frames are BGR."""

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
LEAST_SHARE = 0.002  # of the pixels, for a class to be in the legend

_FONT = cv2.FONT_HERSHEY_SIMPLEX
_STRIP = 0.35  # what is left of the frame's brightness under the legend


class View(StrEnum):
    """What to draw of a result."""

    OVERLAY = "overlay"
    MASK = "mask"
    STAGES = "stages"
    SIDE_BY_SIDE = "side-by-side"


def colour_map(labels: Image, colours: tuple[Colour, ...]) -> Image:
    """Labels [H, W] as a BGR picture; a label without a colour is black."""
    return _image(cv2.applyColorMap(labels, _palette(colours)))


def blend(frame: Image, colours: Image, alpha: float) -> Image:
    """``alpha`` of the colours, the rest of the frame."""
    return _image(cv2.addWeighted(colours, alpha, frame, 1 - alpha, 0))


def grey(frame: Image) -> Image:
    """A BGR frame without its colours, still with three channels."""
    return _image(cv2.cvtColor(cv2.cvtColor(frame, cv2.COLOR_BGR2GRAY), cv2.COLOR_GRAY2BGR))


def side_by_side(pictures: Sequence[Image]) -> Image:
    """Pictures of one height from left to right."""
    return _image(cv2.hconcat(pictures))


def class_legend(
    picture: Image, labels: Image, names: Sequence[str], colours: Sequence[Colour]
) -> None:
    """Write the classes that ``labels`` holds on top of a picture.

    They stand in the order of their labels, which in a video keeps them from jumping about.
    """
    counts = np.bincount(labels.ravel(), minlength=256)[: len(names)]
    present = np.flatnonzero(counts >= LEAST_SHARE * labels.size).tolist()
    legend(picture, [(names[k], colours[k]) for k in present])


def stage_legend(picture: Image, shares: Sequence[float]) -> None:
    """Write the stages and their shares (0 to 1) on top of a picture."""
    texts = [
        f"stage {i} {name} {share:.0%}"
        for i, (name, share) in enumerate(zip(STAGE_NAMES, shares, strict=True), 1)
    ]
    legend(picture, list(zip(texts, STAGE_COLOURS, strict=True)))


def legend(picture: Image, entries: Sequence[tuple[str, Colour]]) -> None:
    """A dark strip along the top, in place: a swatch (RGB) and a text for each entry.

    Entries wrap; what would cover more than a third of the picture is left out.
    """
    height, width = picture.shape[:2]
    scale = min(max(height / 640, 0.45), 1.6)
    line = _text("Ag", scale).shape[0]
    unit = round(0.7 * line)  # a swatch's edge, and the measure of the gaps
    row_height = line + unit // 2
    rows = max(1, height // (3 * row_height))
    placed: list[tuple[int, int, Image, Colour]] = []
    x, row = unit, 0
    for text, colour in entries:
        tile = _text(text, scale)
        needed = unit + unit // 2 + tile.shape[1]
        if x + needed > width and x > unit:
            x, row = unit, row + 1
        if row >= rows or x + needed > width or row_height > height:
            break
        placed.append((x, row * row_height, tile, colour))
        x += needed + unit
    if not placed:
        return
    strip = picture[: placed[-1][1] + row_height]
    strip[:] = (strip * _STRIP).astype(np.uint8)
    for x, y, tile, colour in placed:
        top = y + (row_height - unit) // 2
        # The pale edge keeps a dark colour visible on the dark strip.
        cv2.rectangle(picture, (x - 1, top - 1, unit + 2, unit + 2), (210, 210, 210), 1)
        strip[top : top + unit, x : x + unit] = colour[::-1]
        left, upper = x + unit + unit // 2, y + unit // 4
        spot = strip[upper : upper + line, left : left + tile.shape[1]]
        # White by the text's coverage, so its edges are smooth on any ground.
        spot[:] = spot + (255 - spot) * tile[:, :, None].astype(np.uint16) // 255


@lru_cache(maxsize=512)
def _text(text: str, scale: float) -> Image:
    """Coverage [h, w] of a line of text, 0 to 255; kept, as drawing one takes milliseconds."""
    # The fonts of OpenCV 4 are ASCII and would draw anything else a byte at a time.
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
