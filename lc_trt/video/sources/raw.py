"""Raw frames from a pipe, as written by ``ffmpeg -f rawvideo -pix_fmt bgr24 -``."""

from __future__ import annotations

import os
import select
from collections.abc import Iterator, Sequence

import numpy as np

from lc_trt.errors import LcTrtError
from lc_trt.video.base import DEFAULT_FPS, Frame, Source

_POLL_INTERVAL = 0.1  # seconds between checks whether the source has been closed


class RawFrames(Source):
    """BGR frames of one size, three bytes per pixel, without headers.

    Args:
        size: (height, width) in pixels.
        descriptor: file descriptor; default: stdin.
        fps: nominal frames per second.

    Raises:
        LcTrtError: the descriptor is a terminal.
    """

    count = None

    def __init__(
        self, size: tuple[int, int], descriptor: int = 0, fps: float = DEFAULT_FPS
    ) -> None:
        self.name, self.fps = "stdin", fps
        self._size, self._descriptor = size, descriptor
        self._closed = False
        self._trailing_bytes = 0  # of an incomplete last frame
        if os.isatty(descriptor):
            raise LcTrtError("stdin: a terminal, expected a pipe with raw frames (BGR)")

    def __iter__(self) -> Iterator[Frame]:
        assert self.fps is not None
        index = 0
        while (content := self._read()) is not None:
            image = np.frombuffer(content, np.uint8).reshape(*self._size, 3)
            yield Frame.of_video(image, index, index / self.fps)
            index += 1

    @property
    def ready(self) -> bool:
        """Whether the pipe has data or has ended."""
        return self._closed or self._readable(0)

    def problems(self) -> Sequence[str]:
        """An incomplete last frame."""
        if not self._trailing_bytes:
            return ()
        height, width = self._size
        return (
            f"the last frame is incomplete: {self._trailing_bytes} of {height * width * 3} bytes "
            f"of {width}x{height} BGR",
        )

    def close(self) -> None:
        """Stop reading; iterating ends."""
        self._closed = True

    def _read(self) -> bytearray | None:
        """Bytes of the next frame; None at the end."""
        content = bytearray(self._size[0] * self._size[1] * 3)
        view, filled = memoryview(content), 0
        while filled < len(content):
            # Not through sys.stdin: a thread blocked in it keeps Python from exiting.
            if self._closed:
                return None
            if not self._readable(_POLL_INTERVAL):
                continue
            count = os.readv(self._descriptor, [view[filled:]])
            if count == 0:
                self._trailing_bytes = filled
                return None
            filled += count
        return content

    def _readable(self, seconds: float) -> bool:
        return bool(select.select([self._descriptor], [], [], seconds)[0])
