"""Frames that a build is checked on."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path

import cv2
import numpy as np
import numpy.typing as npt

from lc_trt.content import describe, load_frames
from lc_trt.environment import module_version


@dataclass(frozen=True)
class Samples:
    """Frames and, in words, where they come from.

    Attributes:
        frames: uint8 [H, W, 3] each, BGR.
    """

    origin: str
    frames: list[npt.NDArray[np.uint8]]


def photographs_missing() -> bool:
    """Whether scikit-image, which carries the default photographs, is not installed."""
    return module_version("skimage") is None


def check_samples(source: Path | None, count: int, size: tuple[int, int]) -> Samples:
    """Photographs from a folder or from scikit-image; drawn scenes where that is not installed.

    Args:
        size: (height, width) in pixels.
    """
    if source is None and photographs_missing():
        return Samples(
            "drawn scenes (scikit-image, which carries photographs, is not installed)",
            [drawn_scene(size, seed) for seed in range(count)],
        )
    return Samples(describe(source), load_frames(source, count, size)[:count])


def drawn_scene(size: tuple[int, int], seed: int) -> npt.NDArray[np.uint8]:
    """Shapes over a gradient with noise: flat areas and edges, as a photograph has them."""
    rng = np.random.default_rng(seed)
    height, width = size
    top, bottom = rng.uniform(0, 255, (2, 3))
    ramp = np.linspace(0, 1, height)[:, None, None]
    image = np.broadcast_to(top * (1 - ramp) + bottom * ramp, (height, width, 3)).copy()
    for _ in range(12):
        colour = [float(v) for v in rng.uniform(0, 255, 3)]
        corners = rng.uniform(0, 1, (4, 2)) * (width, height)
        cv2.fillConvexPoly(image, cv2.convexHull(corners.astype(np.int32)), colour)
    image += cv2.GaussianBlur(rng.normal(0, 30, image.shape), (0, 0), 1.5)
    return np.asarray(np.clip(image, 0, 255), np.uint8)
