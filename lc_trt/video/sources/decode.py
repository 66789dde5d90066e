"""Decodes videos and network streams with PyAV, skipping damage and applying rotation."""

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

_MAX_CONSECUTIVE_ERRORS = 1000  # then the rest of a file is given up
_MAX_FPS = 1000.0  # higher values in headers are clock rates, not frame rates


@dataclass
class Damage:
    """Decoding errors so far.

    Attributes:
        count: packets that could not be decoded and frames that were decoded in part.
        error: why reading stopped early; None at the proper end.
    """

    count: int = 0
    error: str | None = None


class Decoder:
    """Iterates over the frames of a container's first video stream.

    The codec's threads end when the decoder is garbage-collected, not when the container is closed.

    Args:
        container: an open container with a video stream.
        live: minimize latency instead of maximizing throughput.

    Attributes:
        damage: errors so far; updated while decoding.
    """

    def __init__(self, container: InputContainer, *, live: bool = False) -> None:
        self._container = container
        self._stream = container.streams.video[0]
        # Frame threads are fastest, but each delays the output by a frame.
        self._stream.thread_type = "SLICE" if live else "AUTO"
        self.damage = Damage()

    @property
    def fps(self) -> float:
        """Mean frames per second according to the header."""
        # Either may be None, contrary to PyAV's types.
        rates: tuple[Any, ...] = (self._stream.average_rate, self._stream.guessed_rate)
        known = [float(rate) for rate in rates if rate and 0 < rate <= _MAX_FPS]
        return known[0] if known else DEFAULT_FPS

    @property
    def duration(self) -> float | None:
        """Duration in seconds according to the header; None if unknown."""
        ticks: Any = self._stream.duration
        if ticks:
            return float(ticks * self._stream.time_base)
        microseconds = self._container.duration
        return microseconds / av.time_base if microseconds else None

    @property
    def count(self) -> int | None:
        """Number of frames according to the header; None if unknown."""
        return self._stream.frames or None

    def __iter__(self) -> Iterator[tuple[Image, float]]:
        """Yield frames, BGR uint8 [H, W, 3], and their time in seconds, increasing from 0."""
        start: float | None = None
        last, step = -1 / self.fps, 1 / self.fps
        for frame in self._frames():
            time: Any = frame.time  # None if the container has no time stamps
            if time is not None and math.isfinite(time):
                start = time if start is None else start
                time -= start
            # A frame without a time, or out of order, comes one step after the previous one.
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
                # The demuxer may resynchronize after unreadable data.
                self.damage.count += 1
                errors += 1
                if errors == _MAX_CONSECUTIVE_ERRORS:
                    self.damage.error = "no more readable data"
                    return
            except av.error.FFmpegError as error:
                self.damage.error = _reason(error)
                return


def open_container(
    location: str,
    name: str | None = None,
    *,
    timeout: float | None = None,
    options: dict[str, str] | None = None,
) -> InputContainer:
    """Open a video.

    Args:
        location: a file or URL.
        name: used in messages; default: ``location``.
        timeout: seconds to wait for the connection and for each packet.
        options: FFmpeg options of the protocol.

    Raises:
        LcTrtError: it cannot be opened, or has no video stream.
    """
    name = name or location
    try:
        container = av.open(
            location, timeout=timeout, options=options or {}, metadata_errors="ignore"
        )
    except av.error.InvalidDataError as error:
        raise _no_video(location, name, _reason(error)) from error
    except av.error.FFmpegError as error:
        raise LcTrtError(f"{name}: cannot be opened ({_reason(error)})") from error
    # FFmpeg opens text files as terminal recordings.
    if not container.streams.video or container.format.name == "tty":
        content = "audio only" if container.streams.audio else container.format.long_name
        container.close()
        raise _no_video(location, name, content)
    return container


def _no_video(location: str, name: str, reason: str) -> LcTrtError:
    if _without_index(location):
        return LcTrtError(
            f"{name}: truncated before its index (the moov atom at the end of such files), without "
            "which no frame can be decoded; copy or record it again"
        )
    return LcTrtError(f"{name}: cannot be opened ({reason}); expected an image or a video")


def _without_index(location: str) -> bool:
    """Whether this is an MP4 or MOV file without a complete moov atom (ISO/IEC 14496-12, 4.2)."""
    path = Path(location)
    if not path.is_file():
        return False
    length, position, kinds = path.stat().st_size, 0, []
    with path.open("rb") as file:
        while position + 8 <= length:
            file.seek(position)
            size, kind = struct.unpack(">I4s", file.read(8))
            if size == 1:  # a 64-bit size follows
                size = int.from_bytes(file.read(8), "big")
            position = position + max(size, 8) if size else length  # 0: to the end of the file
            if position <= length:
                kinds.append(kind)
    return kinds[:1] == [b"ftyp"] and b"moov" not in kinds


def _reason(error: av.error.FFmpegError) -> str:
    if isinstance(error, av.error.ExitError):  # raised by PyAV on a time-out
        return "timed out"
    return str(error.strerror or error).lower()


def _upright(frame: av.VideoFrame) -> Image:
    image = frame.to_ndarray(format="bgr24")
    # Counter-clockwise, as in np.rot90. Phones write multiples of 90 degrees only.
    turns = round(frame.rotation / 90) % 4
    return np.ascontiguousarray(np.rot90(image, turns), np.uint8)
