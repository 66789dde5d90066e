"""Sample frames for benchmarks and verification: distinct frames from photographs or a video.

Early exit depends on content, and engines that compile per shape are slowest on a new shape;
repeating one image would show neither.
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
from lc_trt.video.sources.images import Images

Image = npt.NDArray[np.uint8]

# Color photographs of scenes in scikit-image's wheel; its other images are microscopy, textures and
# drawings.
PHOTOGRAPHS = (
    "astronaut.png", "chelsea.png", "coffee.png", "motorcycle_left.png", "motorcycle_right.png",
    "rocket.jpg",
)  # fmt: skip
SMALLEST_CROP = 0.6  # relative to the largest crop that fits


def load_frames(
    source: Path | None, count: int, size: tuple[int, int], seed: int = 0
) -> list[Image]:
    """Load distinct frames.

    Whole images come first, resized as ``lc-trt run`` does; if there are fewer than ``count``,
    random crops of them follow, scaled and mirrored.

    Args:
        source: anything that `lc_trt.video.sources.open.open_source` opens, or a folder of videos;
            None for the photographs in scikit-image.
        count: number of frames.
        size: (height, width) in pixels.
        seed: of the random crops.

    Returns:
        BGR frames, uint8 [height, width, 3].

    Raises:
        LcTrtError: nothing readable, or scikit-image is not installed.
    """
    originals = _read(source, count)
    rng = np.random.default_rng(seed)
    frames = [to_size(image, size) for image in originals[:count]]
    while len(frames) < count:
        frames.append(_crop(originals[len(frames) % len(originals)], size, rng))
    return frames


def describe(source: Path | None) -> str:
    """Describe where frames come from, without local folder names.

    Args:
        source: as of `load_frames`.
    """
    return "photographs of scikit-image" if source is None else source.name


def _read(source: Path | None, count: int) -> list[Image]:
    """At most ``count`` images, evenly spaced over the source."""
    if source is None:
        return [_first(path) for path in _photographs()[:count]]
    # Photographs need no PyAV, which the machines that tools/gpu runs on do not have.
    from lc_trt.video.frame_set import clips_in, find_frames
    from lc_trt.video.sources.open import open_source

    if source.is_dir() and clips_in(source):
        return [image for _, image in find_frames(source, count).read()]
    with open_source(str(source)) as frames:
        if frames.fps is None:  # still images: decode only the chosen ones
            files = frames.files()
            return [_first(files[i]) for i in spread(len(files), count)]
        # The length of a live source is unknown: take its first frames.
        indices = spread(frames.count or count, count)
        images: list[Image] = []
        for frame in frames:
            if frame.index >= indices[len(images)]:  # a live source may have dropped that frame
                images.append(frame.image)
            if len(images) == len(indices):
                break
    return images


def _first(path: Path) -> Image:
    with Images(path.name, [path]) as frames:
        return next(iter(frames)).image


def _photographs() -> list[Path]:
    # Locate scikit-image without importing it, which takes a second and pulls in scipy.
    spec = find_spec("skimage")
    folders = spec.submodule_search_locations if spec else None
    if not folders:
        raise LcTrtError(
            "no images to measure on: install photographs with pip install 'lc-trt[bench]', or "
            "give your own with --images DIR"
        )
    files = [p for p in (Path(folders[0]) / "data" / name for name in PHOTOGRAPHS) if p.is_file()]
    if not files:
        raise LcTrtError(
            "the installed scikit-image lacks its photographs; give your own with --images DIR"
        )
    return files


def _crop(image: Image, size: tuple[int, int], rng: np.random.Generator) -> Image:
    """A random crop of the image, resized to ``size`` and mirrored with probability 0.5."""
    height, width = size
    largest = min(image.shape[0] / height, image.shape[1] / width)
    factor = largest * rng.uniform(SMALLEST_CROP, 1.0)
    h, w = max(1, int(height * factor)), max(1, int(width * factor))
    y = int(rng.integers(0, image.shape[0] - h + 1))
    x = int(rng.integers(0, image.shape[1] - w + 1))
    crop = image[y : y + h, x : x + w]
    if rng.random() < 0.5:
        crop = crop[:, ::-1]
    return to_size(np.ascontiguousarray(crop), size)


@dataclass(frozen=True)
class Samples:
    """Sample frames and their origin.

    Attributes:
        origin: description of where they come from.
        frames: BGR, uint8 [H, W, 3] each.
    """

    origin: str
    frames: list[npt.NDArray[np.uint8]]


def photographs_missing() -> bool:
    """Whether scikit-image, which contains the default photographs, is not installed."""
    return module_version("skimage") is None


def check_samples(source: Path | None, count: int, size: tuple[int, int]) -> Samples:
    """Load frames for verification, falling back to drawn scenes if scikit-image is missing.

    Args:
        source: as of `load_frames`.
        count: number of frames.
        size: (height, width) in pixels.

    Raises:
        LcTrtError: nothing readable at ``source``.
    """
    if source is None and photographs_missing():
        return Samples(
            "drawn scenes (scikit-image, which contains photographs, is not installed)",
            [drawn_scene(size, seed) for seed in range(count)],
        )
    return Samples(describe(source), load_frames(source, count, size)[:count])


def drawn_scene(size: tuple[int, int], seed: int) -> npt.NDArray[np.uint8]:
    """Draw random shapes over a gradient with noise, with flat areas and edges like a photograph.

    Args:
        size: (height, width) in pixels.
        seed: of the shapes and the noise.

    Returns:
        BGR, uint8 [height, width, 3].
    """
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
