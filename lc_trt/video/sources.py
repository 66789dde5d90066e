"""Where frames come from: an image, a folder or pattern of images, a video, a webcam."""

from __future__ import annotations

import glob
import math
import os
import re
from abc import ABC, abstractmethod
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path

import cv2
import numpy as np
import numpy.typing as npt

from lc_trt.errors import LcTrtError

IMAGE_SUFFIXES = (".bmp", ".jpeg", ".jpg", ".png", ".ppm", ".tif", ".tiff", ".webp")
DEFAULT_FPS = 25.0

# FFmpeg inside OpenCV writes its own complaints to stderr; ours name the file.
os.environ.setdefault("OPENCV_FFMPEG_LOGLEVEL", "-8")


@dataclass(frozen=True)
class Frame:
    """One frame.

    Attributes:
        image: uint8 [H, W, 3], BGR.
        index: 0 for the first.
        name: what to call its picture, without a suffix.
    """

    image: npt.NDArray[np.uint8]
    index: int
    name: str


class Source(ABC):
    """Frames in order, once.

    Attributes:
        name: how messages and default outputs call it.
        count: frames it has, None if unknown; of a video only what its header says.
        fps: frames a second, None where they are not a film.
    """

    name: str
    count: int | None
    fps: float | None

    @abstractmethod
    def __iter__(self) -> Iterator[Frame]:
        """The frames; an image that cannot be read is an `LcTrtError`."""

    def files(self) -> Sequence[Path]:
        """The files it reads, which no output may replace."""
        return ()

    def close(self) -> None:  # noqa: B027 - most sources hold nothing
        """Free what the source holds."""

    def __enter__(self) -> Source:
        return self

    def __exit__(self, *_: object) -> None:
        self.close()


class _Images(Source):
    """Image files, sorted by name with numbers in order of size (2 before 10)."""

    fps = None

    def __init__(self, name: str, paths: Sequence[Path]) -> None:
        """``paths`` are looked into at once, so a file that is none is found before the run."""
        self.name = name
        self._paths = sorted(paths, key=_natural)
        self.count = len(self._paths)
        for path in self._paths:
            if not cv2.haveImageReader(str(path)):
                raise LcTrtError(f"{path}: no image that OpenCV reads")

    def __iter__(self) -> Iterator[Frame]:
        for index, path in enumerate(self._paths):
            image = cv2.imread(str(path), cv2.IMREAD_COLOR)
            if image is None:
                raise LcTrtError(f"{path}: a damaged image; remove it or replace it")
            yield Frame(np.asarray(image, np.uint8), index, path.stem)

    def files(self) -> Sequence[Path]:
        return self._paths


class _Capture(Source):
    """A video file or a webcam. The first frame is read at once, to know that there is one."""

    def __init__(self, origin: Path | int) -> None:
        self._origin = origin
        self.name = f"webcam {origin}" if isinstance(origin, int) else str(origin)
        self._capture = _open(origin)
        if not self._capture.isOpened():
            hint = (
                "is it plugged in, and no other program using it?"
                if isinstance(origin, int)
                else "expected an image or a video"
            )
            raise LcTrtError(f"{self.name}: cannot be opened; {hint}")
        found, first = self._capture.read()
        if not found:
            self.close()
            raise LcTrtError(f"{self.name}: no frames in it")
        self._first = np.asarray(first, np.uint8)
        fps = self._capture.get(cv2.CAP_PROP_FPS)
        self.fps = fps if math.isfinite(fps) and 0 < fps <= 1000 else DEFAULT_FPS
        count = self._capture.get(cv2.CAP_PROP_FRAME_COUNT)
        self.count = int(count) if isinstance(origin, Path) and 0 < count < 1e9 else None

    def __iter__(self) -> Iterator[Frame]:
        found, image, index = True, self._first, 0
        while found:
            yield Frame(np.asarray(image, np.uint8), index, f"frame{index:06d}")
            index += 1
            found, image = self._capture.read()  # type: ignore[assignment]

    def files(self) -> Sequence[Path]:
        return () if isinstance(self._origin, int) else (self._origin,)

    def close(self) -> None:
        self._capture.release()


def open_source(text: str) -> Source:
    """The source that a person names on a command line.

    Args:
        text: an image, a video, a folder of images, a pattern such as ``"street/*.png"``,
            or the number of a webcam.

    Raises:
        LcTrtError: no such file, nothing in it, or nothing that OpenCV reads.
    """
    path = Path(text)
    if path.is_dir():
        return _several(text, [p for p in path.iterdir() if _is_image(p)], "no images in it")
    if path.is_file():
        if path.stat().st_size == 0:
            raise LcTrtError(f"{path}: an empty file, expected an image or a video")
        return _Images(text, [path]) if cv2.haveImageReader(text) else _Capture(path)
    if text.isdecimal():
        return _Capture(int(text))
    if any(c in text for c in "*?["):
        return _several(
            text, [Path(p) for p in glob.glob(text, recursive=True)], "no file is like it"
        )
    raise LcTrtError(
        f"{path}: no such file; expected an image, a video, a folder of images or a webcam number"
    )


def _several(name: str, paths: list[Path], problem: str) -> Source:
    paths = [p for p in paths if p.is_file()]
    if not paths:
        raise LcTrtError(f"{name}: {problem}; expected images ({' '.join(IMAGE_SUFFIXES)})")
    return _Images(name, paths)


def _is_image(path: Path) -> bool:
    return path.suffix.lower() in IMAGE_SUFFIXES and not path.name.startswith(".")


def _natural(path: Path) -> list[tuple[int, str]]:
    parts = re.split(r"(\d+)", str(path))
    return [(int(part), "") if part.isdecimal() else (-1, part) for part in parts]


def _open(origin: Path | int) -> cv2.VideoCapture:
    # OpenCV logs each backend that cannot open something; the answer is all we want.
    level = cv2.utils.logging.getLogLevel()
    cv2.utils.logging.setLogLevel(cv2.utils.logging.LOG_LEVEL_SILENT)
    try:
        return cv2.VideoCapture(origin if isinstance(origin, int) else str(origin))
    finally:
        cv2.utils.logging.setLogLevel(level)
