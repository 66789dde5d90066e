"""Resize frames to the engine's size, and its output maps to the frame's size."""

from __future__ import annotations

from dataclasses import dataclass
from enum import StrEnum
from typing import Any

import cv2
import numpy as np
import numpy.typing as npt

from lc_trt.errors import UsageError

_STRIDES = (1, 2, 4, 8, 16, 32)

_GREY = 114  # letterbox padding, as in YOLO

_EXPECTED = "expected uint8 [H, W, 3], BGR as OpenCV reads it"


class Fit(StrEnum):
    """How a frame is fitted to the engine's size."""

    STRETCH = "stretch"
    LETTERBOX = "letterbox"


@dataclass(frozen=True)
class Window:
    """The part of the engine's input that shows the frame, in pixels.

    Attributes:
        top, left: first row and column.
        height, width: size.
    """

    top: int
    left: int
    height: int
    width: int

    def cut(self, pixels: npt.NDArray[Any]) -> npt.NDArray[Any]:
        """Crop a map to the window.

        Args:
            pixels: map [H, W, ...] of the engine's size.

        Returns:
            Contiguous array [height, width, ...].
        """
        rows = slice(self.top, self.top + self.height)
        return np.ascontiguousarray(pixels[rows, self.left : self.left + self.width])


def window(frame: tuple[int, int], engine: tuple[int, int], fit: Fit | str) -> Window:
    """The window of a frame in the engine's input: all of it if stretched, centred if letterboxed.

    A letterboxed frame keeps its aspect ratio to within a pixel.

    Args:
        frame: (height, width) of the frame.
        engine: (height, width) of the engine's input.
        fit: ``stretch`` or ``letterbox``.

    Raises:
        UsageError: unknown ``fit``.
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
    """Validate a frame.

    Args:
        frame: uint8 [H, W, 3], BGR.

    Returns:
        The frame as a contiguous array.

    Raises:
        UsageError: another type, dtype or shape; the message says how to convert it.
    """
    if frame is None:
        raise UsageError(
            f"frame is None (cv2.imread returns it for an unreadable file); {_EXPECTED}"
        )
    if not isinstance(frame, np.ndarray):
        raise UsageError(f"frame is a {type(frame).__name__}; {_EXPECTED}; read files first")
    problem = f"frame is {frame.dtype} {list(frame.shape)}; {_EXPECTED}"
    if frame.ndim == 4:
        raise UsageError(f"{problem}; pass several frames to segmenter.batch(frames)")
    if frame.ndim == 2 or (frame.ndim == 3 and frame.shape[2] == 1):
        raise UsageError(f"{problem}; convert grey: cv2.cvtColor(frame, cv2.COLOR_GRAY2BGR)")
    if frame.ndim == 3 and frame.shape[2] == 4:
        raise UsageError(f"{problem}; drop alpha: cv2.cvtColor(frame, cv2.COLOR_BGRA2BGR)")
    if frame.ndim == 3 and frame.shape[0] == 3 and frame.shape[2] != 3:
        raise UsageError(f"{problem}; move channels last: frame.transpose(1, 2, 0)")
    if frame.ndim != 3 or frame.shape[2] != 3:
        raise UsageError(problem)
    if frame.size == 0:
        raise UsageError(f"{problem}; it is empty")
    if frame.dtype != np.uint8:
        raise UsageError(f"{problem}; convert values of 0 to 1: (frame * 255).astype('uint8')")
    return np.ascontiguousarray(frame)


def place(
    frame: npt.NDArray[np.uint8], engine: tuple[int, int], visible: Window
) -> npt.NDArray[np.uint8]:
    """Place a frame in the engine's input; the rest is padded with grey.

    Args:
        frame: uint8 [H, W, 3], BGR.
        engine: (height, width) of the engine's input.
        visible: window of the frame.

    Returns:
        uint8 [height, width, 3].
    """
    resized = to_size(frame, (visible.height, visible.width))
    if resized.shape[:2] == engine:
        return resized
    image = np.full((*engine, 3), _GREY, np.uint8)
    rows = slice(visible.top, visible.top + visible.height)
    image[rows, visible.left : visible.left + visible.width] = resized
    return image


def to_size(frame: npt.NDArray[np.uint8], size: tuple[int, int]) -> npt.NDArray[np.uint8]:
    """Resize a frame: by area when shrinking, bilinear otherwise.

    Args:
        frame: uint8 [H, W, 3].
        size: (height, width).
    """
    if frame.shape[:2] == size:
        return frame
    shrinks = size[0] <= frame.shape[0] and size[1] <= frame.shape[1]
    return _resize(frame, size, cv2.INTER_AREA if shrinks else cv2.INTER_LINEAR)


def labels_to_size(labels: npt.NDArray[np.uint8], size: tuple[int, int]) -> npt.NDArray[np.uint8]:
    """Resize a label map by nearest neighbour, aligned by pixel centres.

    Args:
        labels: uint8 [H, W].
        size: (height, width).
    """
    if labels.shape == size:
        return labels
    return _resize(labels, size, cv2.INTER_NEAREST_EXACT)


def covered(cells: tuple[int, int], engine: tuple[int, int]) -> tuple[int, int]:
    """The part of the plane that the cells of a map cover: (height, width) in input pixels.

    Cells of s x s pixels, s a power of 2, start at the input's corner, and the last ones may extend
    beyond it. Maps of another size, as other networks have, cover exactly the input.

    Args:
        cells: (height, width) of the map.
        engine: (height, width) of the engine's input.
    """
    for stride in _STRIDES:
        if cells == (-(-engine[0] // stride), -(-engine[1] // stride)):
            return cells[0] * stride, cells[1] * stride
    return engine


def stages_to_size(
    cells: npt.NDArray[np.uint8], engine: tuple[int, int], visible: Window, size: tuple[int, int]
) -> npt.NDArray[np.uint8]:
    """Resize a stage map to the frame's size by nearest neighbour.

    Args:
        cells: uint8 [h, w], one value per cell of the engine's input.
        engine: (height, width) of the engine's input.
        visible: window of the frame in the engine's input.
        size: (height, width) of the frame.
    """
    pixels = labels_to_size(cells, covered((cells.shape[0], cells.shape[1]), engine))
    return labels_to_size(visible.cut(pixels), size)


def confidence_to_size(
    cells: npt.NDArray[np.float32], engine: tuple[int, int], visible: Window, size: tuple[int, int]
) -> npt.NDArray[np.float32]:
    """Resize a confidence map to the frame's size, bilinear.

    Args:
        cells: float32 [h, w], one value per cell of the engine's input.
        engine: (height, width) of the engine's input.
        visible: window of the frame in the engine's input.
        size: (height, width) of the frame.
    """
    area = covered((cells.shape[0], cells.shape[1]), engine)
    pixels = visible.cut(_resize(cells, area, cv2.INTER_LINEAR))
    return pixels if pixels.shape == size else _resize(pixels, size, cv2.INTER_LINEAR)


def _resize(image: npt.NDArray[Any], size: tuple[int, int], interpolation: int) -> npt.NDArray[Any]:
    return cv2.resize(image, (size[1], size[0]), interpolation=interpolation)
