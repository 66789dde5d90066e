"""Raw frames from a pipe: what ``ffmpeg -f rawvideo -pix_fmt bgr24 -`` writes."""

from __future__ import annotations

import os
import select
from collections.abc import Iterator, Sequence

import numpy as np

from lc_trt.errors import LcTrtError
from lc_trt.video.base import DEFAULT_FPS, Frame, Source

_GLANCE = 0.1  # seconds between looks at whether somebody closed the source


class RawFrames(Source):
    """Frames of one size, BGR, three bytes a pixel, one after the other without any header."""

    count = None

    def __init__(
        self, size: tuple[int, int], descriptor: int = 0, fps: float = DEFAULT_FPS
    ) -> None:
        """Read from a file descriptor, stdin by default.

        Args:
            size: (height, width) in pixels.
            fps: at which the frames are meant to be shown.

        Raises:
            LcTrtError: there is no pipe, but a terminal.
        """
        self.name, self.fps = "stdin", fps
        self._size, self._descriptor = size, descriptor
        self._closed = False
        self._rest = 0  # bytes of a last frame that is not whole
        if os.isatty(descriptor):
            raise LcTrtError("stdin: a terminal, expected a pipe with raw frames (BGR)")

    def __iter__(self) -> Iterator[Frame]:
        assert self.fps is not None
        index = 0
        while (content := self._read()) is not None:
            image = np.frombuffer(content, np.uint8).reshape(*self._size, 3)
            yield Frame.of_film(image, index, index / self.fps)
            index += 1

    @property
    def ready(self) -> bool:
        """Whether the pipe has bytes, or its end."""
        return self._closed or self._readable(0)

    def report(self) -> Sequence[str]:
        """A last frame that is not whole."""
        if not self._rest:
            return ()
        height, width = self._size
        return (
            f"the last frame is not whole: {self._rest} of {height * width * 3} bytes of "
            f"{width}x{height} BGR",
        )

    def close(self) -> None:
        """Stop reading; iterating ends."""
        self._closed = True

    def _read(self) -> bytearray | None:
        """The bytes of one frame, None at the end."""
        content = bytearray(self._size[0] * self._size[1] * 3)
        view, filled = memoryview(content), 0
        while filled < len(content):
            # Not through sys.stdin: a thread that is stuck in there keeps Python from ending.
            if self._closed:
                return None
            if not self._readable(_GLANCE):
                continue
            count = os.readv(self._descriptor, [view[filled:]])
            if count == 0:
                self._rest = filled
                return None
            filled += count
        return content

    def _readable(self, seconds: float) -> bool:
        return bool(select.select([self._descriptor], [], [], seconds)[0])
