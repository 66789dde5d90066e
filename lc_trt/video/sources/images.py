"""Still images as a source."""

from __future__ import annotations

import re
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import cv2
import numpy as np
import numpy.typing as npt

from lc_trt.data.images import IMAGE_SUFFIXES
from lc_trt.errors import LcTrtError
from lc_trt.video.base import Frame, Image, Source

_ANIMATED = (b"GIF8", b"\x89PNG")  # formats that FFmpeg decodes as video if animated
_JPEG, _SCAN, _END = b"\xff\xd8", b"\xff\xda", b"\xff\xd9"


class Images(Source):
    """Image files in natural order (2 before 10), decoded to 8-bit color.

    Unreadable files are skipped and reported as problems.

    Args:
        name: of the source.
        paths: the image files.

    Raises:
        LcTrtError: a file is not an image that OpenCV reads; on iterating, no file is readable.
    """

    fps = None

    def __init__(self, name: str, paths: Sequence[Path]) -> None:
        self.name = name
        self._paths = sorted(paths, key=_natural)
        self.count = len(self._paths)
        self._problems: list[str] = []
        for path in self._paths:
            if not cv2.haveImageReader(str(path)):
                raise LcTrtError(f"{path}: not an image that OpenCV reads")

    def __iter__(self) -> Iterator[Frame]:
        count = 0
        for path in self._paths:
            try:
                image, problem = _read(path)
            except LcTrtError as error:
                self._problems.append(str(error))
                continue
            if problem:
                self._problems.append(f"{path}: {problem}")
            yield Frame(image, count, path.stem)
            count += 1
        if not count:
            raise LcTrtError(self._problems[-1])

    def files(self) -> Sequence[Path]:
        """The image files."""
        return self._paths

    def problems(self) -> Sequence[str]:
        """Files that could not be read, or only in part."""
        if len(self._problems) < 2:
            return self._problems
        return (f"{len(self._problems)} images with problems; the first: {self._problems[0]}",)


def is_image(path: Path) -> bool:
    """Whether a file of a folder counts as an image.

    Args:
        path: the file.
    """
    return path.suffix.lower() in IMAGE_SUFFIXES and not path.name.startswith(".")


def is_animated(path: Path) -> bool:
    """Whether an image file is an animated GIF or PNG.

    Args:
        path: the file.
    """
    with path.open("rb") as file:
        start = file.read(4)
    return start in _ANIMATED and cv2.imcount(str(path)) > 1


@contextmanager
def opencv_silent() -> Iterator[None]:
    """Silence OpenCV's log, for errors that we report ourselves."""
    level = cv2.utils.logging.getLogLevel()
    cv2.utils.logging.setLogLevel(cv2.utils.logging.LOG_LEVEL_SILENT)
    try:
        yield
    finally:
        cv2.utils.logging.setLogLevel(level)


def _read(path: Path) -> tuple[Image, str]:
    """Decode an image; also a problem with it, or an empty string."""
    try:
        content = path.read_bytes()
    except OSError as error:
        raise LcTrtError(f"{path}: cannot be read ({error.strerror})") from error
    with opencv_silent():
        image = _decoded(path, cv2.IMREAD_COLOR)
        if image is None:
            raise LcTrtError(f"{path}: {_decode_error(path)}")
    return image.astype(np.uint8, copy=False), _partial_problem(path, content)


def _decoded(path: Path, flags: int) -> npt.NDArray[Any] | None:
    # Decode from the file: from memory, OpenCV returns nothing for a truncated JPEG.
    try:
        return cv2.imread(str(path), flags)
    except cv2.error:  # such as a size beyond OpenCV's limits
        return None


def _partial_problem(path: Path, content: bytes) -> str:
    # These markers cannot occur within entropy-coded data, so a complete file has an end marker
    # after its last scan (ITU-T T.81, B.1.1.5). OpenCV fills a missing part with gray, silently.
    if content.startswith(_JPEG):
        truncated = content.rfind(_END) < content.rfind(_SCAN)
        return "truncated; the missing part is gray" if truncated else ""
    pictures = cv2.imcount(str(path))
    return f"holds {pictures} images; only the first is used" if pictures > 1 else ""


def _decode_error(path: Path) -> str:
    image = _decoded(path, cv2.IMREAD_UNCHANGED)
    if image is None:
        return "a damaged image; remove or replace it"
    return f"{image.dtype} pixels, expected an image of 8 or 16 bits"


def _natural(path: Path) -> list[tuple[int, str]]:
    parts = re.split(r"(\d+)", str(path))
    return [(int(part), "") if part.isdecimal() else (-1, part) for part in parts]
