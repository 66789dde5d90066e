"""A camera for tests: serves an endless MPEG stream over TCP to one client.

    python tests/stream_server.py PORT FPS

Frames are grey, brighter by one each, in real time. It ends when the client leaves.
"""

from __future__ import annotations

import sys
import time

import av
import numpy as np


def serve(port: int, fps: int) -> None:
    """Wait for a client, then send until it goes."""
    container = av.open(f"tcp://127.0.0.1:{port}?listen=1", "w", format="mpegts")
    stream = container.add_stream("mpeg2video", rate=fps)
    stream.width, stream.height, stream.pix_fmt = 64, 48, "yuv420p"
    start = time.monotonic()
    for number in range(10**9):
        picture = np.full((48, 64, 3), 16 + number % 200, np.uint8)
        for packet in stream.encode(av.VideoFrame.from_ndarray(picture, format="bgr24")):
            container.mux(packet)
        time.sleep(max(0.0, start + number / fps - time.monotonic()))


if __name__ == "__main__":
    serve(int(sys.argv[1]), int(sys.argv[2]))
