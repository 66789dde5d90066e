"""Where pictures go: a video, one image, a folder of images.

Each is made before the run, when it finds out whether it can write there. Files appear
under their name only when they are complete.
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
    """Takes pictures, BGR uint8 [H, W, 3], or label maps, uint8 [H, W].

    Attributes:
        path: the file or folder it makes; None where it makes none.
    """

    path: Path | None

    @abstractmethod
    def write(self, picture: Image, frame: Frame) -> None:
        """Take one picture of a frame."""

    @abstractmethod
    def finish(self) -> None:
        """Complete what was written; the file stands under its name after this."""

    @abstractmethod
    def abort(self) -> None:
        """Leave nothing half-written behind."""


class FileSink(Sink):
    """One file, written under another name and renamed when it is complete."""

    path: Path

    def __init__(self, path: Path) -> None:
        """Make sure that ``path`` can be written, and the folders above it."""
        self.path = path
        self.partial = PartialFile(path, ADVICE, parents=True)

    def abort(self) -> None:
        """Remove what there is of it."""
        self.partial.discard()


class PictureSink(FileSink):
    """One image: the picture number ``at`` (from 0), or the last one if there are fewer."""

    def __init__(self, path: Path, encode: Encode, at: int = 0) -> None:
        """``encode`` gives a picture as the content of a file."""
        super().__init__(path)
        self._encode = encode
        self._remaining = at + 1
        self._picture: Image | None = None

    def write(self, picture: Image, frame: Frame) -> None:
        """Keep it until a later one takes its place."""
        if self._remaining:
            self._picture = picture
            self._remaining -= 1

    def finish(self) -> None:
        """Write the picture."""
        if self._picture is not None:
            atomic_write(self.path, self._encode(self._picture), ADVICE)
        self.abort()


class FolderSink(Sink):
    """A folder of images named as their frames; images of other names in it stay."""

    path: Path

    def __init__(self, path: Path, encode: Encode, suffix: str = ".png") -> None:
        """``encode`` gives a picture as the content of a file with that suffix."""
        self.path, self._encode, self._suffix = path, encode, suffix
        check_file(path / f"NAME{suffix}", ADVICE, parents=True)
        self._names = Names()

    def write(self, picture: Image, frame: Frame) -> None:
        """Write one image, whole."""
        path = self.path / f"{self._names.take(frame.name)}{self._suffix}"
        atomic_write(path, self._encode(picture), ADVICE, sync=False)

    def finish(self) -> None:
        """Nothing is left to do: each image is complete when it appears."""

    def abort(self) -> None:
        """Images that are there stay."""


class Names:
    """Tells names apart: a.jpg and a.png, or files of several folders."""

    def __init__(self) -> None:
        self._taken: set[str] = set()

    def take(self, name: str) -> str:
        """The name, with a number behind it where it was taken before."""
        unique, number = name, 2
        while unique in self._taken:
            unique, number = f"{name}_{number}", number + 1
        self._taken.add(unique)
        return unique


def encode_as(suffix: str) -> Encode:
    """The encoder of OpenCV for a kind of image."""

    def encode(picture: Image) -> bytes:
        written, content = cv2.imencode(suffix, picture)
        if not written:
            height, width = picture.shape[:2]
            raise LcTrtError(f"{suffix}: OpenCV cannot write a {width}x{height} picture as that")
        return np.asarray(content).tobytes()

    return encode
