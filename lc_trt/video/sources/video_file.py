"""Finite video source: a file, or a complete file on a server."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from pathlib import Path
from threading import Lock

from av.container import InputContainer

from lc_trt.errors import LcTrtError
from lc_trt.video.base import Frame, Source
from lc_trt.video.sources.decode import Decoder, open_container

_CLOSE_TIMEOUT = 1.0  # seconds to wait for a frame that is being decoded


class VideoFile(Source):
    """All decodable frames of a video.

    Args:
        location: a file or URL.
        container: the open container, if any.

    Raises:
        LcTrtError: it cannot be opened, or no frame can be decoded; the first one is decoded here.
    """

    def __init__(self, location: str, container: InputContainer | None = None) -> None:
        self.name = location
        self._container = container or open_container(location)
        self._lock = Lock()  # closing a container while it decodes crashes the process
        self._closed = False
        decoder = Decoder(self._container)
        self.fps = decoder.fps
        self.audio_streams = len(self._container.streams.audio)
        self._damage = decoder.damage
        self._duration = decoder.duration
        self._exact = decoder.count is not None
        self.count = decoder.count
        if self.count is None and self._duration is not None:
            self.count = max(1, round(self._duration * self.fps))
        self._decoded = iter(decoder)
        self._first = next(self._decoded, None)
        if self._first is None:
            self.close()
            raise LcTrtError(f"{location}: no frame can be decoded")
        self._read = 0
        self._last_time = 0.0  # seconds
        self._ended = False

    def __iter__(self) -> Iterator[Frame]:
        decoded = self._first
        self._first = None
        while decoded is not None:
            image, self._last_time = decoded
            frame = Frame.of_video(image, self._read, self._last_time)
            self._read += 1
            yield frame
            with self._lock:
                if self._closed:
                    return
                decoded = next(self._decoded, None)
        self._ended = True

    def files(self) -> Sequence[Path]:
        """The file, unless the video is remote."""
        path = Path(self.name)
        return (path,) if path.is_file() else ()

    def problems(self) -> Sequence[str]:
        """Frames that could not be decoded, and whether the video ended early."""
        messages = []
        if self._damage.count:
            messages.append(f"{self._damage.count} damaged packets or frames")
        if self._ended and self._truncated():
            messages.append(f"{self._read} of {self._expected()} frames could be read")
        if self._damage.error:
            messages.append(f"reading failed before the end: {self._damage.error}")
        return messages

    def _truncated(self) -> bool:
        # Headers of intact videos may be off by a frame or two.
        if self.count is None or self.fps is None:
            return False
        if self._exact:
            return self._read < min(self.count - 2, 0.98 * self.count)
        duration = self._duration or 0.0
        return self._last_time < min(duration - 3 / self.fps, 0.98 * duration)

    def _expected(self) -> str:
        return f"{self.count}" if self._exact else f"about {self.count}"

    def close(self) -> None:
        """Close the file; iterating ends."""
        self._closed = True
        # An unresponsive server holds the lock until its time-out; do not wait for that.
        if self._lock.acquire(timeout=_CLOSE_TIMEOUT):
            try:
                self._container.close()
                self._decoded = iter(())  # drop the decoder and its threads
            finally:
                self._lock.release()
