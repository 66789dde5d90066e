"""A video with an end: a file, or one that a server has whole."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from pathlib import Path
from threading import Lock

from av.container import InputContainer

from lc_trt.errors import LcTrtError
from lc_trt.video.base import Frame, Source
from lc_trt.video.sources.decode import Decoder, open_container

_PATIENCE = 1.0  # seconds that closing waits for a frame being decoded


class VideoFile(Source):
    """All frames of a video that can be decoded; the others are counted.

    The first frame is read at once, to know that there is one.
    """

    def __init__(self, place: str, container: InputContainer | None = None) -> None:
        """Open ``place``, or take over the ``container`` that was opened there."""
        self.name = place
        self._container = container or open_container(place)
        self._lock = Lock()  # a container that closes under a decoder takes the process with it
        self._closed = False
        decoder = Decoder(self._container)
        self.fps = decoder.fps
        self.sound = len(self._container.streams.audio)
        self._damage = decoder.damage
        self._duration = decoder.duration
        self._exact = decoder.count is not None
        self.count = decoder.count
        if self.count is None and self._duration is not None:
            self.count = max(1, round(self._duration * self.fps))
        self._pictures = iter(decoder)
        self._first = next(self._pictures, None)
        if self._first is None:
            self.close()
            raise LcTrtError(f"{place}: no frames in it that can be decoded")
        self._read = 0
        self._until = 0.0  # seconds
        self._ended = False

    def __iter__(self) -> Iterator[Frame]:
        picture = self._first
        self._first = None
        while picture is not None:
            image, self._until = picture
            frame = Frame.of_film(image, self._read, self._until)
            self._read += 1
            yield frame
            with self._lock:
                if self._closed:
                    return
                picture = next(self._pictures, None)
        self._ended = True

    def files(self) -> Sequence[Path]:
        """The file, where it is one."""
        path = Path(self.name)
        return (path,) if path.is_file() else ()

    def report(self) -> Sequence[str]:
        """What could not be decoded, and whether it ended early."""
        found = []
        if self._damage.count:
            found.append(f"{self._damage.count} damaged packets or frames in it")
        if self._ended and self._cut_short():
            found.append(f"{self._read} frames could be read of {self._announced()} announced")
        if self._damage.lost:
            found.append(f"reading it failed before its end: {self._damage.lost}")
        return found

    def _cut_short(self) -> bool:
        # Headers of sound videos are off by a frame or two.
        if self.count is None or self.fps is None:
            return False
        if self._exact:
            return self._read < min(self.count - 2, 0.98 * self.count)
        length = self._duration or 0.0
        return self._until < min(length - 3 / self.fps, 0.98 * length)

    def _announced(self) -> str:
        return f"{self.count}" if self._exact else f"about {self.count}"

    def close(self) -> None:
        """Close the file; iterating ends."""
        self._closed = True
        # A server that does not answer holds the lock until its time-out; it is not waited for.
        if self._lock.acquire(timeout=_PATIENCE):
            try:
                self._container.close()
                self._pictures = iter(())  # the last that holds the decoder and its threads
            finally:
                self._lock.release()
