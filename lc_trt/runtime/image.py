"""Frames to the engine's size, and its maps back to the frame's."""

from __future__ import annotations

from typing import Any

import cv2
import numpy as np
import numpy.typing as npt

from lc_trt.errors import UsageError

CELL = 8  # pixels of the engine's image a cell of the stage and confidence maps stands for

_EXPECTED = "expected uint8 [H, W, 3], BGR as OpenCV reads it"


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
    cells: npt.NDArray[np.uint8], engine: tuple[int, int], size: tuple[int, int]
) -> npt.NDArray[np.uint8]:
    """A stage map [h, w] of cells at a frame's size, by way of the ``engine``'s (H, W)."""
    pixels = cells.repeat(CELL, 0).repeat(CELL, 1)
    return labels_to_size(_crop(pixels, engine), size)


def confidence_to_size(
    cells: npt.NDArray[np.float32], engine: tuple[int, int], size: tuple[int, int]
) -> npt.NDArray[np.float32]:
    """A confidence map [h, w] of cells at a frame's size, bilinear."""
    height, width = cells.shape
    # The last row and column of cells may reach beyond the engine's image.
    pixels = _crop(_resize(cells, (height * CELL, width * CELL), cv2.INTER_LINEAR), engine)
    return pixels if engine == size else _resize(pixels, size, cv2.INTER_LINEAR)


def _crop(pixels: npt.NDArray[Any], size: tuple[int, int]) -> npt.NDArray[Any]:
    return np.ascontiguousarray(pixels[: size[0], : size[1]])


def _resize(image: npt.NDArray[Any], size: tuple[int, int], how: int) -> npt.NDArray[Any]:
    return cv2.resize(image, (size[1], size[0]), interpolation=how)
