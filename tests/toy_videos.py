"""Videos made on the spot."""

from __future__ import annotations

from pathlib import Path

import cv2
import numpy as np


def write_video(
    path: Path, frames: int, size: tuple[int, int] = (48, 64), fps: float = 25.0
) -> Path:
    """Frames that go from black to bright; an .avi (MJPG) or an .mp4 by its suffix."""
    codec = "MJPG" if path.suffix == ".avi" else "mp4v"
    writer = cv2.VideoWriter(str(path), cv2.VideoWriter.fourcc(*codec), fps, size[::-1])
    for i in range(frames):
        writer.write(np.full((*size, 3), 200 * i // max(1, frames - 1), np.uint8))
    writer.release()
    return path


def read_video(path: Path) -> list[np.ndarray]:
    """All frames of a video, BGR."""
    capture = cv2.VideoCapture(str(path))
    frames = []
    while (read := capture.read())[0]:
        frames.append(read[1])
    capture.release()
    return frames
