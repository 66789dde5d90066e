"""Sinks for pictures: an image, a folder of images, and the base of others.

A sink is opened before the run and fails then if it cannot write. Files appear under their name
only when complete.
"""

from __future__ import annotations

from abc import ABC, abstractmethod
from collections.abc import Callable
from pathlib import Path

import cv2
import numpy as np

from lc_trt.errors import LcTrtError
from lc_trt.utils.files import PartialFile, atomic_write, check_file
from lc_trt.video.base import Frame, Image

Encode = Callable[[Image], bytes]
ADVICE = "choose another --save"


class Sink(ABC):
    """Receives pictures, BGR uint8 [H, W, 3], or label maps, uint8 [H, W].

    Attributes:
        path: the output file or folder; None if there is none.
    """

    path: Path | None

    @abstractmethod
    def write(self, picture: Image, frame: Frame) -> None:
        """Receive the picture of a frame.

        Args:
            picture: BGR uint8 [H, W, 3], or labels uint8 [H, W].
            frame: the frame that it shows.

        Raises:
            LcTrtError: it cannot be written.
        """

    @abstractmethod
    def finish(self) -> None:
        """Complete the output, which then appears under its name."""

    @abstractmethod
    def abort(self) -> None:
        """Discard incomplete output."""


class FileSink(Sink):
    """Writes a file under a temporary name and renames it when complete.

    Args:
        path: the file; missing parent folders are created.

    Raises:
        LcTrtError: it cannot be written.
    """

    path: Path

    def __init__(self, path: Path) -> None:
        self.path = path
        self.partial = PartialFile(path, ADVICE, parents=True)

    def abort(self) -> None:
        """Remove the incomplete file."""
        self.partial.discard()


class PictureSink(FileSink):
    """Writes one picture to an image file.

    Args:
        path: the image file.
        encode: converts a picture to the content of the file.
        index: number of the picture to write, from 0; the last one if there are fewer.

    Raises:
        LcTrtError: it cannot be written.
    """

    def __init__(self, path: Path, encode: Encode, index: int = 0) -> None:
        super().__init__(path)
        self._encode = encode
        self._remaining = index + 1
        self._picture: Image | None = None

    def write(self, picture: Image, frame: Frame) -> None:
        """Remember the picture if it is the one to write, or precedes it."""
        if self._remaining:
            self._picture = picture
            self._remaining -= 1

    def finish(self) -> None:
        """Write the picture."""
        if self._picture is not None:
            atomic_write(self.path, self._encode(self._picture), ADVICE)
        self.abort()


class FolderSink(Sink):
    """Writes images named after their frames to a folder, whose other files stay.

    Args:
        path: the folder; created if missing.
        encode: converts a picture to the content of a file.
        suffix: of the files.

    Raises:
        LcTrtError: it cannot be written.
    """

    path: Path

    def __init__(self, path: Path, encode: Encode, suffix: str = ".png") -> None:
        self.path, self._encode, self._suffix = path, encode, suffix
        check_file(path / f"NAME{suffix}", ADVICE, parents=True)
        self._names = UniqueNames()

    def write(self, picture: Image, frame: Frame) -> None:
        """Write an image file atomically."""
        path = self.path / f"{self._names.unique(frame.name)}{self._suffix}"
        atomic_write(path, self._encode(picture), ADVICE, sync=False)

    def finish(self) -> None:
        """Do nothing: each image is complete when written."""

    def abort(self) -> None:
        """Do nothing: complete images stay."""


class UniqueNames:
    """Makes names unique, such as those of a.jpg and a.png."""

    def __init__(self) -> None:
        self._taken: set[str] = set()

    def unique(self, name: str) -> str:
        """Return the name, with a number appended if it was returned before.

        Args:
            name: the preferred name.
        """
        candidate, number = name, 2
        while candidate in self._taken:
            candidate, number = f"{name}_{number}", number + 1
        self._taken.add(candidate)
        return candidate


def image_encoder(suffix: str) -> Encode:
    """Create an encoder for an image format.

    Args:
        suffix: of the format, such as ``.png``.

    Returns:
        A function from a picture to the content of an image file; it raises `LcTrtError` if OpenCV
        cannot encode the picture.
    """

    def encode(picture: Image) -> bytes:
        success, content = cv2.imencode(suffix, picture)
        if not success:
            height, width = picture.shape[:2]
            raise LcTrtError(
                f"{suffix}: OpenCV cannot write a {width}x{height} image in this format"
            )
        return np.asarray(content).tobytes()

    return encode
