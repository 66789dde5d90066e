"""Label maps as files: palette PNG, NPZ, and raw bytes."""

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
from lc_trt.video.sinks.base import FileSink, Names, Sink

Colours = Sequence[tuple[int, int, int]]


def palette_png(colours: Colours) -> Callable[[Image], bytes]:
    """An encoder of label maps uint8 [H, W] as PNG, a class a value, shown in its colour (RGB).

    PNG of colour type 3, as PASCAL VOC has its labels; OpenCV writes none.
    https://www.w3.org/TR/png-3/
    """
    palette = b"".join(bytes(colour) for colour in colours).ljust(256 * 3, b"\0")

    def encode(labels: Image) -> bytes:
        height, width = labels.shape
        # Each row starts with the number of its filter: 0 is none.
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
    check = zlib.crc32(kind + content)
    return struct.pack(">I", len(content)) + kind + content + struct.pack(">I", check)


class NpzSink(FileSink):
    """Label maps by frame name in one file for ``numpy.load``, written as they come."""

    def __init__(self, path: Path) -> None:
        """Make sure that it can be written."""
        super().__init__(path)
        self._archive: zipfile.ZipFile | None = None
        self._names = Names()

    def write(self, picture: Image, frame: Frame) -> None:
        """Add one label map."""
        if self._archive is None:
            self._archive = zipfile.ZipFile(self.partial.path, "w", zipfile.ZIP_DEFLATED)
        with self._archive.open(f"{self._names.take(frame.name)}.npy", "w") as file:
            np.lib.format.write_array(file, np.ascontiguousarray(picture), allow_pickle=False)

    def finish(self) -> None:
        """Write the index."""
        if self._archive is not None:
            self._archive.close()
            self.partial.commit()
        super().abort()

    def abort(self) -> None:
        """Remove what there is of it."""
        if self._archive is not None:
            self._archive.close()
        super().abort()


class RawLabels(Sink):
    """Label maps as bytes, row by row and frame by frame, without any header."""

    path = None

    def __init__(self, file: IO[bytes]) -> None:
        """Write to a binary file without a buffer, as stdout's here."""
        self._file = file

    def write(self, picture: Image, frame: Frame) -> None:
        """Write one label map, H * W bytes."""
        rest = memoryview(picture.tobytes())
        try:
            while rest:
                rest = rest[self._file.write(rest) :]
        except BrokenPipeError:
            raise LcTrtError("stdout: closed by the program that read the labels") from None

    def finish(self) -> None:
        """All is written already."""

    def abort(self) -> None:
        """What was written cannot be called back."""
