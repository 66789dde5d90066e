"""Lists and reads image files."""

from __future__ import annotations

import glob
import hashlib
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path

import cv2
import numpy as np
import numpy.typing as npt

from lc_trt.errors import LcTrtError

IMAGE_SUFFIXES = (".bmp", ".jpeg", ".jpg", ".png", ".ppm", ".tif", ".tiff", ".webp")
RECOMMENDED_IMAGES = 100  # for calibration; fewer give a warning
MAX_UNREADABLE = 0.05  # share of files


@dataclass(frozen=True)
class ImageList:
    """Image files in a fixed order.

    Attributes:
        origin: the folder or pattern that they come from.
        files: sorted by path.
    """

    origin: str
    files: tuple[Path, ...]

    def __len__(self) -> int:
        return len(self.files)

    @property
    def digest(self) -> str:
        """SHA-256 over file names and sizes in bytes, which identifies the list."""
        digest = hashlib.sha256()
        for file in self.files:
            digest.update(f"{file.name}\0{file.stat().st_size}\n".encode())
        return digest.hexdigest()

    def subset(self, count: int | None) -> ImageList:
        """Select evenly spaced images.

        Args:
            count: how many at most; None for all.
        """
        if count is None:
            return self
        return ImageList(self.origin, tuple(self.files[i] for i in spread(len(self), count)))

    def split(self, count: int) -> tuple[ImageList, ImageList]:
        """Hold out evenly spaced images.

        Args:
            count: how many to hold out.

        Returns:
            The remaining images and the held-out images.
        """
        held_out = set(spread(len(self), count))
        return (
            ImageList(self.origin, tuple(f for i, f in enumerate(self.files) if i not in held_out)),
            ImageList(self.origin, tuple(f for i, f in enumerate(self.files) if i in held_out)),
        )


def spread(total: int, count: int) -> list[int]:
    """Choose evenly spaced indices.

    Args:
        total: number of items.
        count: how many to choose at most.

    Returns:
        Indices from 0 to ``total`` - 1, ascending.
    """
    if total <= count:
        return list(range(total))
    return [i * total // count for i in range(count)]


def list_images(source: str | Path) -> ImageList:
    """List image files: those with an image suffix or a format that OpenCV recognizes.

    Args:
        source: a folder (without its subfolders), a glob pattern such as ``"*/*.png"``, or a file.

    Raises:
        LcTrtError: no such folder, or no image in it.
    """
    text, path = str(source), Path(source)
    if path.is_dir():
        candidates = list(path.iterdir())
    elif any(c in text for c in "*?["):
        candidates = [Path(p) for p in glob.glob(text, recursive=True)]
    elif path.is_file():
        candidates = [path]
    else:
        raise LcTrtError(f"{source}: no such folder; expected a folder of images")
    files = [p for p in candidates if p.is_file() and not p.name.startswith(".")]
    images = sorted((p for p in files if _is_image(p)), key=lambda p: p.as_posix())
    if not images:
        raise LcTrtError(
            f"{source}: no images in it ({len(files)} other files); expected "
            f"{' '.join(IMAGE_SUFFIXES)} or another format that OpenCV reads"
        )
    return ImageList(text, tuple(images))


def read_image(path: Path) -> npt.NDArray[np.uint8] | None:
    """Read an image.

    Args:
        path: the file.

    Returns:
        BGR, uint8 [H, W, 3]; None if the file is not a readable image.
    """
    try:
        image = cv2.imread(str(path), cv2.IMREAD_COLOR)
    except cv2.error:  # such as a size beyond OpenCV's limits
        return None
    return None if image is None else np.asarray(image, np.uint8)


def skip_unreadable(
    images: ImageList, file: Path, skipped: list[str], warn: Callable[[str], None]
) -> None:
    """Record an unreadable image and warn about it.

    Args:
        images: the list that it belongs to.
        file: the unreadable file.
        skipped: names of the files skipped so far; the file's is appended.
        warn: receives the warning.

    Raises:
        LcTrtError: more than ``MAX_UNREADABLE`` of the images are unreadable.
    """
    skipped.append(file.name)
    warn(f"{file}: not a readable image, skipped")
    if len(skipped) > MAX_UNREADABLE * len(images):
        raise LcTrtError(
            f"{images.origin}: {len(skipped)} of {len(images)} images are unreadable, more "
            f"than {MAX_UNREADABLE:.0%}; the last is {file.name}. Remove or replace them"
        )


def _is_image(path: Path) -> bool:
    return path.suffix.lower() in IMAGE_SUFFIXES or bool(cv2.haveImageReader(str(path)))
