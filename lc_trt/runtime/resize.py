"""Frames to the engine's size, and its maps back to the frame's."""

from __future__ import annotations

from dataclasses import dataclass
from enum import StrEnum
from typing import Any

import cv2
import numpy as np
import numpy.typing as npt

from lc_trt.errors import UsageError

CELL = 8  # pixels of the engine's image a cell of the stage and confidence maps stands for

_GREY = 114  # around a letterboxed frame, as the YOLO family pads

_EXPECTED = "expected uint8 [H, W, 3], BGR as OpenCV reads it"


class Fit(StrEnum):
    """How a frame of another shape comes to the engine's size."""

    STRETCH = "stretch"
    LETTERBOX = "letterbox"


@dataclass(frozen=True)
class Window:
    """The part of the engine's image that shows the frame, in pixels."""

    top: int
    left: int
    height: int
    width: int

    def cut(self, pixels: npt.NDArray[Any]) -> npt.NDArray[Any]:
        """That part of a map [H, W, ...] of the engine's size, contiguous."""
        rows = slice(self.top, self.top + self.height)
        return np.ascontiguousarray(pixels[rows, self.left : self.left + self.width])


def window(frame: tuple[int, int], engine: tuple[int, int], fit: Fit | str) -> Window:
    """Where a frame of (H, W) lies in an image of (H, W): all of it, or the middle.

    Letterboxed, the frame keeps its shape to within a pixel, and at least one row and column.

    Raises:
        UsageError: no such fit.
    """
    if fit not in list(Fit):
        raise UsageError(f"fit {fit!r}: expected {' or '.join(Fit)}")
    if fit == Fit.STRETCH:
        return Window(0, 0, *engine)
    scale = min(engine[0] / frame[0], engine[1] / frame[1])
    height, width = (
        min(max(round(side * scale), 1), most) for side, most in zip(frame, engine, strict=True)
    )
    return Window((engine[0] - height) // 2, (engine[1] - width) // 2, height, width)


def check_frame(frame: Any) -> npt.NDArray[np.uint8]:
    """The frame, contiguous; one that is not uint8 [H, W, 3] is an error that says the way out."""
    if frame is None:
        raise UsageError(f"frame is None (cv2.imread gives that for no image); {_EXPECTED}")
    if not isinstance(frame, np.ndarray):
        raise UsageError(f"frame is a {type(frame).__name__}; {_EXPECTED}; read files first")
    found = f"frame is {frame.dtype} {list(frame.shape)}; {_EXPECTED}"
    if frame.ndim == 4:
        raise UsageError(f"{found}; several at once go to segmenter.batch(frames)")
    if frame.ndim == 2 or (frame.ndim == 3 and frame.shape[2] == 1):
        raise UsageError(f"{found}; convert grey: cv2.cvtColor(frame, cv2.COLOR_GRAY2BGR)")
    if frame.ndim == 3 and frame.shape[2] == 4:
        raise UsageError(f"{found}; drop alpha: cv2.cvtColor(frame, cv2.COLOR_BGRA2BGR)")
    if frame.ndim == 3 and frame.shape[0] == 3 and frame.shape[2] != 3:
        raise UsageError(f"{found}; channels last: frame.transpose(1, 2, 0)")
    if frame.ndim != 3 or frame.shape[2] != 3:
        raise UsageError(found)
    if frame.size == 0:
        raise UsageError(f"{found}; it is empty")
    if frame.dtype != np.uint8:
        raise UsageError(f"{found}; convert values of 0 to 1: (frame * 255).astype('uint8')")
    return np.ascontiguousarray(frame)


def place(
    frame: npt.NDArray[np.uint8], engine: tuple[int, int], part: Window
) -> npt.NDArray[np.uint8]:
    """The engine's image [H, W, 3] with the frame in a part of it and grey around."""
    inside = to_size(frame, (part.height, part.width))
    if inside.shape[:2] == engine:
        return inside
    image = np.full((*engine, 3), _GREY, np.uint8)
    image[part.top : part.top + part.height, part.left : part.left + part.width] = inside
    return image


def to_size(frame: npt.NDArray[np.uint8], size: tuple[int, int]) -> npt.NDArray[np.uint8]:
    """A frame stretched to (H, W): averaged when it shrinks, bilinear when it grows."""
    if frame.shape[:2] == size:
        return frame
    shrinks = size[0] <= frame.shape[0] and size[1] <= frame.shape[1]
    return _resize(frame, size, cv2.INTER_AREA if shrinks else cv2.INTER_LINEAR)


def labels_to_size(labels: npt.NDArray[np.uint8], size: tuple[int, int]) -> npt.NDArray[np.uint8]:
    """A label map [H, W] at another size: the nearest pixel's label, by pixel centres."""
    if labels.shape == size:
        return labels
    return _resize(labels, size, cv2.INTER_NEAREST_EXACT)


def stages_to_size(
    cells: npt.NDArray[np.uint8], part: Window, size: tuple[int, int]
) -> npt.NDArray[np.uint8]:
    """A stage map [h, w] of cells at a frame's size, where ``part`` shows the frame."""
    pixels = cells.repeat(CELL, 0).repeat(CELL, 1)
    return labels_to_size(part.cut(pixels), size)


def confidence_to_size(
    cells: npt.NDArray[np.float32], part: Window, size: tuple[int, int]
) -> npt.NDArray[np.float32]:
    """A confidence map [h, w] of cells at a frame's size, bilinear; ``part`` shows the frame."""
    height, width = cells.shape
    # The last row and column of cells may reach beyond the engine's image.
    pixels = part.cut(_resize(cells, (height * CELL, width * CELL), cv2.INTER_LINEAR))
    return pixels if pixels.shape == size else _resize(pixels, size, cv2.INTER_LINEAR)


def _resize(image: npt.NDArray[Any], size: tuple[int, int], how: int) -> npt.NDArray[Any]:
    return cv2.resize(image, (size[1], size[0]), interpolation=how)
