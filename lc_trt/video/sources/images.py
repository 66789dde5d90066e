"""Image files as a source: what OpenCV decodes, as 8-bit colour, and the rest counted."""

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

_MOVING = (b"GIF8", b"\x89PNG")  # kinds that FFmpeg plays where they hold several pictures
_JPEG, _SCAN, _END = b"\xff\xd8", b"\xff\xda", b"\xff\xd9"


class Images(Source):
    """Image files, sorted by name with numbers in order of size (2 before 10).

    One among several that cannot be read is passed over and told of.
    """

    fps = None

    def __init__(self, name: str, paths: Sequence[Path]) -> None:
        """``paths`` are looked into at once, so a file that is none is found before the run."""
        self.name = name
        self._paths = sorted(paths, key=_natural)
        self.count = len(self._paths)
        self._problems: list[str] = []
        for path in self._paths:
            if not cv2.haveImageReader(str(path)):
                raise LcTrtError(f"{path}: no image that OpenCV reads")

    def __iter__(self) -> Iterator[Frame]:
        found = 0
        for path in self._paths:
            try:
                image, problem = _read(path)
            except LcTrtError as error:
                self._problems.append(str(error))
                continue
            if problem:
                self._problems.append(f"{path}: {problem}")
            yield Frame(image, found, path.stem)
            found += 1
        if not found:
            raise LcTrtError(self._problems[-1])

    def files(self) -> Sequence[Path]:
        """All of them."""
        return self._paths

    def report(self) -> Sequence[str]:
        """What could not be read, or only in part."""
        if len(self._problems) < 2:
            return self._problems
        return (f"{len(self._problems)} images with problems; the first: {self._problems[0]}",)


def is_image(path: Path) -> bool:
    """Whether a folder's file counts as one of its images."""
    return path.suffix.lower() in IMAGE_SUFFIXES and not path.name.startswith(".")


def is_moving(path: Path) -> bool:
    """Whether an image holds a film: an animated GIF or PNG."""
    with path.open("rb") as file:
        start = file.read(4)
    return start in _MOVING and cv2.imcount(str(path)) > 1


@contextmanager
def opencv_silent() -> Iterator[None]:
    """Keeps OpenCV from logging what an error of ours says."""
    level = cv2.utils.logging.getLogLevel()
    cv2.utils.logging.setLogLevel(cv2.utils.logging.LOG_LEVEL_SILENT)
    try:
        yield
    finally:
        cv2.utils.logging.setLogLevel(level)


def _read(path: Path) -> tuple[Image, str]:
    """The picture and what is amiss with it, an empty string if nothing."""
    try:
        content = path.read_bytes()
    except OSError as error:
        raise LcTrtError(f"{path}: cannot be read ({error.strerror})") from error
    with opencv_silent():
        image = _decoded(path, cv2.IMREAD_COLOR)
        if image is None:
            raise LcTrtError(f"{path}: {_why_not(path)}")
    return image.astype(np.uint8, copy=False), _what_is_amiss(path, content)


def _decoded(path: Path, flags: int) -> npt.NDArray[Any] | None:
    # From the file: from memory OpenCV gives nothing at all of a JPEG that is cut.
    try:
        return cv2.imread(str(path), flags)
    except cv2.error:  # a header with a size beyond OpenCV's limits, for one
        return None


def _what_is_amiss(path: Path, content: bytes) -> str:
    # Within coded data 0xff is never followed by these, so the last scan of a whole file has an
    # end behind it (ITU-T T.81, B.1.1.5). OpenCV makes the missing part grey and says nothing.
    if content.startswith(_JPEG):
        cut = content.rfind(_END) < content.rfind(_SCAN)
        return "cut short; what is missing is grey" if cut else ""
    pictures = cv2.imcount(str(path))
    return f"holds {pictures} pictures; only the first is segmented" if pictures > 1 else ""


def _why_not(path: Path) -> str:
    plain = _decoded(path, cv2.IMREAD_UNCHANGED)
    if plain is None:
        return "a damaged image; remove it or replace it"
    return f"holds {plain.dtype} numbers; expected an image of 8 or 16 bits"


def _natural(path: Path) -> list[tuple[int, str]]:
    parts = re.split(r"(\d+)", str(path))
    return [(int(part), "") if part.isdecimal() else (-1, part) for part in parts]
