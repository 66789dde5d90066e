"""Video sink: H.264 in .mp4 and .mkv, Motion JPEG in .avi."""

from __future__ import annotations

from fractions import Fraction
from pathlib import Path
from typing import NamedTuple

import av
import cv2
import numpy as np

from lc_trt.errors import LcTrtError
from lc_trt.video.base import Frame, Image
from lc_trt.video.sinks.base import ADVICE, FileSink


class _Codec(NamedTuple):
    name: str
    pixels: str
    options: dict[str, str]


_H264 = _Codec("libx264", "yuv420p", {"preset": "veryfast", "crf": "20"})
_JPEG = _Codec("mjpeg", "yuvj420p", {"qmin": "2", "qmax": "4"})
VIDEO_CODECS = {".mp4": _H264, ".mkv": _H264, ".avi": _JPEG}
# Time base of each container in seconds; .avi counts frames.
_TIME_BASES = {".mp4": Fraction(1, 90_000), ".mkv": Fraction(1, 1000)}


class VideoSink(FileSink):
    """Encodes a video that shows each frame at its own time, preserving a variable frame rate.

    Args:
        path: the video file; its suffix is one of `VIDEO_CODECS`.
        fps: frames per second of frames without a time, and of .avi, which has a fixed rate.
        scale: scale pictures of another size than the first (a camera may reconnect at another
            resolution) instead of raising an error.

    Raises:
        LcTrtError: it cannot be written.
    """

    def __init__(self, path: Path, fps: float, *, scale: bool) -> None:
        super().__init__(path)
        self._fps = Fraction(fps).limit_denominator(1001)
        self._scale = scale
        self._size = (0, 0)
        self._time_base = _TIME_BASES.get(path.suffix.lower(), 1 / self._fps)
        self._last = -1  # the latest time stamp
        self._container: av.container.OutputContainer | None = None
        self._stream: av.VideoStream | None = None

    def write(self, picture: Image, frame: Frame) -> None:
        """Encode a picture."""
        height, width = picture.shape[:2]
        try:
            stream = self._stream or self._open(height, width)
            if (height, width) != self._size:
                picture = self._scaled(picture, frame)
            # Chroma subsampling needs even sizes; pad instead of losing a row or column.
            padding = ((0, self._size[0] % 2), (0, self._size[1] % 2), (0, 0))
            encoded = av.VideoFrame.from_ndarray(
                np.pad(picture, padding, mode="edge"), format="bgr24"
            )
            encoded.time_base = self._time_base
            encoded.pts = self._last = max(self._last + 1, self._time(frame))
            self._mux(stream.encode(encoded))
        except (av.error.FFmpegError, OSError) as error:
            raise self._failed(error) from error

    def finish(self) -> None:
        """Flush the encoder and write the index."""
        if self._container is not None and self._stream is not None:
            try:
                self._mux(self._stream.encode(None))
                self._container.close()
            except (av.error.FFmpegError, OSError) as error:
                raise self._failed(error) from error
            self.partial.commit()
        super().abort()

    def abort(self) -> None:
        """Remove the incomplete file."""
        if self._container is not None:
            self._container.close()
        super().abort()

    def _open(self, height: int, width: int) -> av.VideoStream:
        codec = VIDEO_CODECS[self.path.suffix.lower()]
        self._container = av.open(str(self.partial.path), "w")
        stream = self._container.add_stream(codec.name, rate=self._fps, options=codec.options)
        assert isinstance(stream, av.VideoStream)
        stream.width, stream.height = width + width % 2, height + height % 2
        stream.pix_fmt = codec.pixels
        stream.codec_context.time_base = self._time_base
        self._size, self._stream = (height, width), stream
        return stream

    def _scaled(self, picture: Image, frame: Frame) -> Image:
        height, width = self._size
        if not self._scale:
            size = "x".join(map(str, picture.shape[1::-1]))
            raise LcTrtError(
                f"{self.path}: {frame.name} is {size}, expected {width}x{height} as the first; "
                "save pictures of several sizes to a folder"
            )
        return np.asarray(cv2.resize(picture, (width, height)), np.uint8)

    def _time(self, frame: Frame) -> int:
        seconds = frame.index / self._fps if frame.time is None else Fraction(frame.time)
        return round(seconds / self._time_base)

    def _mux(self, packets: list[av.Packet[av.VideoStream]]) -> None:
        assert self._container is not None
        self._container.mux(packets)

    def _failed(self, error: Exception) -> LcTrtError:
        reason = getattr(error, "strerror", None) or error
        return LcTrtError(f"{self.path}: cannot be written ({reason}); {ADVICE}")
