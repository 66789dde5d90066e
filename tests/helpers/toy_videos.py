"""Small generated videos."""

from __future__ import annotations

from pathlib import Path

import av
import cv2
import numpy as np
from toy_models import bgr

from lc_trt.video.base import Frame
from lc_trt.video.sinks.encode import VideoSink


def write_video(
    path: Path, frames: int, size: tuple[int, int] = (48, 64), fps: float = 25.0
) -> Path:
    """Frames from black to bright; an .avi (MJPG) or an .mp4 by its suffix."""
    codec = "MJPG" if path.suffix == ".avi" else "mp4v"
    writer = cv2.VideoWriter(str(path), cv2.VideoWriter.fourcc(*codec), fps, size[::-1])
    for i in range(frames):
        writer.write(np.full((*size, 3), 200 * i // max(1, frames - 1), np.uint8))
    writer.release()
    return path


def write_webm(path: Path, frames: int, size: tuple[int, int] = (48, 64)) -> Path:
    """The same in VP8, which GStreamer's "good" plug-ins decode."""
    with av.open(str(path), "w") as target:
        stream = target.add_stream("libvpx", rate=25)
        stream.height, stream.width = size
        stream.pix_fmt = "yuv420p"
        for i in range(frames):
            picture = np.full((*size, 3), 200 * i // max(1, frames - 1), np.uint8)
            target.mux(stream.encode(av.VideoFrame.from_ndarray(picture, format="bgr24")))
        target.mux(stream.encode(None))
    return path


def read_video(path: Path) -> list[np.ndarray]:
    """All frames of a video, BGR."""
    capture = cv2.VideoCapture(str(path))
    frames = []
    while (read := capture.read())[0]:
        frames.append(read[1])
    capture.release()
    return frames


def times(path: Path) -> list[float]:
    """Presentation time of each frame in seconds, by OpenCV."""
    capture = cv2.VideoCapture(str(path))
    found = []
    while capture.read()[0]:
        found.append(capture.get(cv2.CAP_PROP_POS_MSEC) / 1e3)
    capture.release()
    return found


def add_sound(video: Path, out: Path) -> Path:
    """The same video with one second of silent audio."""
    with av.open(str(video)) as source, av.open(str(out), "w") as target:
        pictures = target.add_stream_from_template(source.streams.video[0])
        sound = target.add_stream("aac", rate=8000)
        for packet in source.demux(video=0):
            if packet.dts is not None:
                packet.stream = pictures
                target.mux(packet)
        for start in range(0, 8000, 1000):
            silence = av.AudioFrame.from_ndarray(np.zeros((1, 1000), np.float32), "fltp", "mono")
            silence.rate, silence.pts = 8000, start
            target.mux(sound.encode(silence))
        target.mux(sound.encode(None))
    return out


def quarters() -> np.ndarray:
    """An image with four distinct quarters, 48 x 64."""
    picture = bgr(0, 0, 0, (48, 64))
    picture[:24, :32], picture[:24, 32:] = (0, 0, 250), (0, 250, 0)
    picture[24:, :32] = (250, 0, 0)
    return picture


def film(path: Path, count: int = 5, moments: list[float] | None = None, noise: int = 0) -> Path:
    """Quarters, with noise where the file has to be large."""
    rng = np.random.default_rng(0)
    sink = VideoSink(path, 25, scale=False)
    for i in range(count):
        picture = quarters()
        picture[:, :, 0] += rng.integers(0, noise + 1, picture.shape[:2]).astype(np.uint8)
        sink.write(picture, Frame(picture, i, "f", moments[i] if moments else i / 25))
    sink.finish()
    return path
