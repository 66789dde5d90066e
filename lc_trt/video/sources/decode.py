"""Videos and network streams through PyAV: what can be decoded, turned upright."""

from __future__ import annotations

import math
import struct
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import av
import numpy as np
from av.container import InputContainer

from lc_trt.errors import LcTrtError
from lc_trt.video.base import DEFAULT_FPS, Image

# In a row, after which nothing more is expected of a damaged file.
_MOST_ERRORS = 1000
_HIGHEST_FPS = 1000.0  # what headers say above that is a clock's rate, not the frames'


@dataclass
class Damage:
    """What of a video could not be had so far.

    Attributes:
        count: packets that could not be decoded, and frames that were only in part.
        lost: what the container said when it could be read no further, None at its proper end.
    """

    count: int = 0
    lost: str | None = None


class Decoder:
    """The pictures of a container's first video stream.

    Its codec's threads end when it is forgotten, not when the container is closed.

    Attributes:
        damage: what could not be decoded, counted on.
    """

    def __init__(self, container: InputContainer, *, live: bool = False) -> None:
        self._container = container
        self._stream = container.streams.video[0]
        # Threads over frames are quickest, but each of them holds a frame back.
        self._stream.thread_type = "SLICE" if live else "AUTO"
        self.damage = Damage()

    @property
    def fps(self) -> float:
        """Frames a second on average, as far as the header knows."""
        # Each of them may be None, whatever PyAV's types say.
        rates: tuple[Any, ...] = (self._stream.average_rate, self._stream.guessed_rate)
        known = [float(rate) for rate in rates if rate and 0 < rate <= _HIGHEST_FPS]
        return known[0] if known else DEFAULT_FPS

    @property
    def duration(self) -> float | None:
        """Seconds, None where the container does not know them."""
        own: Any = self._stream.duration
        if own:
            return float(own * self._stream.time_base)
        whole = self._container.duration
        return whole / av.time_base if whole else None

    @property
    def count(self) -> int | None:
        """How many frames the header announces, None if it does not."""
        return self._stream.frames or None

    def __iter__(self) -> Iterator[tuple[Image, float]]:
        """BGR uint8 [H, W, 3], and seconds since the first picture, which never fall."""
        start: float | None = None
        last, step = -1 / self.fps, 1 / self.fps
        for frame in self._frames():
            time: Any = frame.time  # None where the container tells none
            if time is not None and math.isfinite(time):
                start = time if start is None else start
                time -= start
            # A picture without a time, or out of order, follows the one before.
            last = time if time is not None and time > last else last + step
            yield _upright(frame), last

    def _frames(self) -> Iterator[av.VideoFrame]:
        for packet in self._packets():
            try:
                frames = packet.decode()
            except av.error.EOFError:
                return
            except av.error.FFmpegError:
                self.damage.count += 1
                continue
            for frame in frames:
                self.damage.count += frame.is_corrupt
                yield frame

    def _packets(self) -> Iterator[av.Packet[av.VideoStream]]:
        errors = 0
        while True:
            try:
                for packet in self._container.demux(self._stream):
                    errors = 0
                    yield packet
                return
            except av.error.InvalidDataError:
                # The demuxer may find its way again behind what it could not read.
                self.damage.count += 1
                errors += 1
                if errors == _MOST_ERRORS:
                    self.damage.lost = "nothing more could be read"
                    return
            except av.error.FFmpegError as error:
                self.damage.lost = _reason(error)
                return


def open_container(
    place: str,
    name: str | None = None,
    *,
    timeout: float | None = None,
    options: dict[str, str] | None = None,
) -> InputContainer:
    """A file or URL that holds a video.

    Args:
        name: what errors call it, ``place`` if they need not call it anything else.
        timeout: seconds in which it must open, and every packet must come.
        options: FFmpeg's options of the protocol.

    Raises:
        LcTrtError: it cannot be opened, or there is no video in it.
    """
    name = name or place
    try:
        container = av.open(place, timeout=timeout, options=options or {}, metadata_errors="ignore")
    except av.error.InvalidDataError as error:
        raise _no_video(place, name, _reason(error)) from error
    except av.error.FFmpegError as error:
        raise LcTrtError(f"{name}: cannot be opened ({_reason(error)})") from error
    # FFmpeg plays text files as the screen of a terminal.
    if not container.streams.video or container.format.name == "tty":
        kind = "sound only" if container.streams.audio else container.format.long_name
        container.close()
        raise _no_video(place, name, kind)
    return container


def _no_video(place: str, name: str, found: str) -> LcTrtError:
    if _without_index(place):
        return LcTrtError(
            f"{name}: cut before its index (the moov atom, which this kind of file has at its "
            "end), without which nothing in it can be decoded; copy or record it again"
        )
    return LcTrtError(f"{name}: cannot be opened ({found}); expected an image or a video")


def _without_index(place: str) -> bool:
    """Whether it is an MP4 or MOV file without a whole moov atom (ISO/IEC 14496-12, 4.2)."""
    path = Path(place)
    if not path.is_file():
        return False
    length, position, kinds = path.stat().st_size, 0, []
    with path.open("rb") as file:
        while position + 8 <= length:
            file.seek(position)
            size, kind = struct.unpack(">I4s", file.read(8))
            if size == 1:  # the real one, of 64 bits, comes next
                size = int.from_bytes(file.read(8), "big")
            position = position + max(size, 8) if size else length  # 0: all that is left
            if position <= length:
                kinds.append(kind)
    return kinds[:1] == [b"ftyp"] and b"moov" not in kinds


def _reason(error: av.error.FFmpegError) -> str:
    if isinstance(error, av.error.ExitError):  # what PyAV makes of its time-out
        return "timed out"
    return str(error.strerror or error).lower()


def _upright(frame: av.VideoFrame) -> Image:
    image = frame.to_ndarray(format="bgr24")
    # Counter-clockwise, as NumPy turns too. Phones know quarter turns only.
    turns = round(frame.rotation / 90) % 4
    return np.ascontiguousarray(np.rot90(image, turns), np.uint8)
