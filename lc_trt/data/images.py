"""Folders of images: which files, in which order, and what of them can be read."""

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
FEW = 100  # under so many a warning
MAX_BROKEN = 0.05  # share of files that may be unreadable


@dataclass(frozen=True)
class ImageList:
    """Files in a fixed order.

    Attributes:
        origin: the folder or pattern as given.
        files: sorted by name.
    """

    origin: str
    files: tuple[Path, ...]

    def __len__(self) -> int:
        return len(self.files)

    @property
    def digest(self) -> str:
        """SHA-256 over names and sizes in bytes: another list, or an edited file, differs."""
        digest = hashlib.sha256()
        for file in self.files:
            digest.update(f"{file.name}\0{file.stat().st_size}\n".encode())
        return digest.hexdigest()

    def some(self, count: int | None) -> ImageList:
        """So many of them, evenly spread; all if None."""
        if count is None:
            return self
        return ImageList(self.origin, tuple(self.files[i] for i in spread(len(self), count)))

    def split(self, count: int) -> tuple[ImageList, ImageList]:
        """The list without ``count`` evenly spread images, and those."""
        out = set(spread(len(self), count))
        return (
            ImageList(self.origin, tuple(f for i, f in enumerate(self.files) if i not in out)),
            ImageList(self.origin, tuple(f for i, f in enumerate(self.files) if i in out)),
        )


def spread(total: int, count: int) -> list[int]:
    """At most ``count`` of the numbers 0 to ``total`` - 1, evenly spread."""
    if total <= count:
        return list(range(total))
    return [i * total // count for i in range(count)]


def list_images(source: str | Path) -> ImageList:
    """The image files of a folder (not of its subfolders), or of a pattern as ``"*/*.png"``.

    A file counts that is called like an image or that OpenCV reads.

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
            f"{source}: no images in it ({len(files)} other files); expected images "
            f"({' '.join(IMAGE_SUFFIXES)} or what else OpenCV reads)"
        )
    return ImageList(text, tuple(images))


def read_image(path: Path) -> npt.NDArray[np.uint8] | None:
    """uint8 [H, W, 3], BGR; None for a file that is broken."""
    try:
        image = cv2.imread(str(path), cv2.IMREAD_COLOR)
    except cv2.error:  # a size beyond OpenCV's limits, for one
        return None
    return None if image is None else np.asarray(image, np.uint8)


def skip_broken(
    images: ImageList, file: Path, skipped: list[str], warn: Callable[[str], None]
) -> None:
    """Note a broken file in ``skipped`` and name it.

    Raises:
        LcTrtError: these are more than ``MAX_BROKEN`` of the images.
    """
    skipped.append(file.name)
    warn(f"{file}: a broken image, skipped")
    if len(skipped) > MAX_BROKEN * len(images):
        raise LcTrtError(
            f"{images.origin}: {len(skipped)} of {len(images)} files are broken, more "
            f"than {MAX_BROKEN:.0%}; the last is {file.name}. Remove or replace them"
        )


def _is_image(path: Path) -> bool:
    return path.suffix.lower() in IMAGE_SUFFIXES or bool(cv2.haveImageReader(str(path)))
