"""Sinks for label maps: palette PNG, NPZ, and raw bytes."""

from __future__ import annotations

import struct
import zipfile
import zlib
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import IO

import numpy as np

from lc_trt.errors import LcTrtError
from lc_trt.video.base import Frame, Image
from lc_trt.video.sinks.base import FileSink, Sink, UniqueNames

Colours = Sequence[tuple[int, int, int]]


def palette_png(colours: Colours) -> Callable[[Image], bytes]:
    """Create an encoder of label maps as palette PNG, whose indices are class indices.

    This is the format of PASCAL VOC's labels, which OpenCV cannot write: PNG color type 3,
    https://www.w3.org/TR/png-3/.

    Args:
        colours: RGB per class.

    Returns:
        A function from labels, uint8 [H, W], to the content of a PNG file.
    """
    palette = b"".join(bytes(colour) for colour in colours).ljust(256 * 3, b"\0")

    def encode(labels: Image) -> bytes:
        height, width = labels.shape
        # Each row starts with its filter type; 0 is none.
        rows = np.pad(labels, ((0, 0), (1, 0))).tobytes()
        chunks = (
            (b"IHDR", struct.pack(">IIBBBBB", width, height, 8, 3, 0, 0, 0)),
            (b"PLTE", palette),
            (b"IDAT", zlib.compress(rows, 6)),
            (b"IEND", b""),
        )
        return b"\x89PNG\r\n\x1a\n" + b"".join(_chunk(*chunk) for chunk in chunks)

    return encode


def _chunk(kind: bytes, content: bytes) -> bytes:
    checksum = zlib.crc32(kind + content)
    return struct.pack(">I", len(content)) + kind + content + struct.pack(">I", checksum)


class NpzSink(FileSink):
    """Writes label maps by frame name to a file for ``numpy.load``, one at a time.

    Args:
        path: the .npz file.

    Raises:
        LcTrtError: it cannot be written.
    """

    def __init__(self, path: Path) -> None:
        super().__init__(path)
        self._archive: zipfile.ZipFile | None = None
        self._names = UniqueNames()

    def write(self, picture: Image, frame: Frame) -> None:
        """Add a label map."""
        if self._archive is None:
            self._archive = zipfile.ZipFile(self.partial.path, "w", zipfile.ZIP_DEFLATED)
        with self._archive.open(f"{self._names.unique(frame.name)}.npy", "w") as file:
            np.lib.format.write_array(file, np.ascontiguousarray(picture), allow_pickle=False)

    def finish(self) -> None:
        """Write the index."""
        if self._archive is not None:
            self._archive.close()
            self.partial.commit()
        super().abort()

    def abort(self) -> None:
        """Remove the incomplete file."""
        if self._archive is not None:
            self._archive.close()
        super().abort()


class RawLabels(Sink):
    """Writes label maps as raw bytes, H * W per frame, without a header.

    Args:
        file: an unbuffered binary file, such as stdout.
    """

    path = None

    def __init__(self, file: IO[bytes]) -> None:
        self._file = file

    def write(self, picture: Image, frame: Frame) -> None:
        """Write a label map."""
        remaining = memoryview(picture.tobytes())
        try:
            while remaining:
                remaining = remaining[self._file.write(remaining) :]
        except BrokenPipeError:
            raise LcTrtError("stdout: closed by the reading program") from None

    def finish(self) -> None:
        """Do nothing: all bytes are written."""

    def abort(self) -> None:
        """Do nothing: written bytes cannot be withdrawn."""
