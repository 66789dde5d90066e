"""What a bench and the check of a build look at: different frames, from photographs or a video.

Skipping depends on content, and engines that compile for a shape are slowest on one they have
not met: repeating one image shows neither.
"""

from __future__ import annotations

from dataclasses import dataclass
from importlib.util import find_spec
from pathlib import Path

import cv2
import numpy as np
import numpy.typing as npt

from lc_trt.data.images import spread
from lc_trt.errors import LcTrtError
from lc_trt.runtime.resize import to_size
from lc_trt.utils.machine import module_version
from lc_trt.video.sources.open import open_source

Image = npt.NDArray[np.uint8]

# Colour photographs of scenes in scikit-image's wheel; its other files are microscopy, textures
# and drawings.
PHOTOGRAPHS = (
    "astronaut.png", "chelsea.png", "coffee.png", "motorcycle_left.png", "motorcycle_right.png",
    "rocket.jpg",
)  # fmt: skip
SMALLEST_CROP = 0.6  # of the largest crop that fits


def load_frames(
    source: Path | None, count: int, size: tuple[int, int], seed: int = 0
) -> list[Image]:
    """``count`` different frames, uint8 [H, W, 3] BGR with ``size`` = (H, W).

    Every image comes first whole, resized as ``lc-trt run`` does it; when there are fewer than
    ``count``, random crops of them follow, scaled and mirrored, the same for the same seed.

    Args:
        source: what `lc_trt.video.sources.open.open_source` opens; None takes the photographs that
            come with scikit-image.

    Raises:
        LcTrtError: nothing readable there, or scikit-image is not installed.
    """
    originals = _read(source, count)
    rng = np.random.default_rng(seed)
    frames = [to_size(image, size) for image in originals[:count]]
    while len(frames) < count:
        frames.append(_crop(originals[len(frames) % len(originals)], size, rng))
    return frames


def describe(source: Path | None) -> str:
    """Where the frames come from, in words without a folder name of this machine."""
    return "photographs of scikit-image" if source is None else source.name


def _read(source: Path | None, count: int) -> list[Image]:
    """At most ``count`` images, evenly spread over what there is."""
    if source is None:
        return [_first(path) for path in _photographs()[:count]]
    with open_source(str(source)) as frames:
        if frames.fps is None:  # still images: what is not wanted need not be decoded
            files = frames.files()
            return [_first(files[i]) for i in spread(len(files), count)]
        # Nobody knows how long a webcam goes on: its first frames then.
        wanted = spread(frames.count or count, count)
        found: list[Image] = []
        for frame in frames:
            if frame.index >= wanted[len(found)]:  # a camera may have dropped the very one
                found.append(frame.image)
            if len(found) == len(wanted):
                break
    return found


def _first(path: Path) -> Image:
    with open_source(str(path)) as frames:
        return next(iter(frames)).image


def _photographs() -> list[Path]:
    # Found, not imported: importing scikit-image takes a second and pulls in scipy.
    spec = find_spec("skimage")
    folders = spec.submodule_search_locations if spec else None
    if not folders:
        raise LcTrtError(
            "no images to measure on: pip install 'lc-trt[bench]' brings photographs, or give "
            "your own with --images DIR"
        )
    files = [p for p in (Path(folders[0]) / "data" / name for name in PHOTOGRAPHS) if p.is_file()]
    if not files:
        raise LcTrtError(
            "the installed scikit-image carries none of its photographs; give your own with "
            "--images DIR"
        )
    return files


def _crop(image: Image, size: tuple[int, int], rng: np.random.Generator) -> Image:
    """A random part of the image in the shape of ``size``, mirrored half of the time."""
    height, width = size
    largest = min(image.shape[0] / height, image.shape[1] / width)
    factor = largest * rng.uniform(SMALLEST_CROP, 1.0)
    h, w = max(1, int(height * factor)), max(1, int(width * factor))
    y = int(rng.integers(0, image.shape[0] - h + 1))
    x = int(rng.integers(0, image.shape[1] - w + 1))
    part = image[y : y + h, x : x + w]
    if rng.random() < 0.5:
        part = part[:, ::-1]
    return to_size(np.ascontiguousarray(part), size)


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
