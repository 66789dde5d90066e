"""A fake camera: serves an endless MPEG stream to one client, over plain TCP or as RTSP.

    python tests/helpers/stream_server.py tcp|rtsp PORT FPS

Frames are grey, brighter by one each, in real time. It ends when the client leaves.
"""

from __future__ import annotations

import socket
import struct
import sys
import time
from typing import Any

import av
import numpy as np


def serve(place: Any, fps: int) -> None:
    """Send to a URL or a file-like object until the reader disconnects."""
    container = av.open(place, "w", format="mpegts", options={"flush_packets": "1"})
    stream = container.add_stream("mpeg2video", rate=fps)
    stream.width, stream.height, stream.pix_fmt = 64, 48, "yuv420p"
    start = time.monotonic()
    for number in range(10**9):
        picture = np.full((48, 64, 3), 16 + number % 200, np.uint8)
        for packet in stream.encode(av.VideoFrame.from_ndarray(picture, format="bgr24")):
            container.mux(packet)
        time.sleep(max(0.0, start + number / fps - time.monotonic()))


class Interleaved:
    """RTP packets of MPEG-TS (RFC 2250) within an RTSP connection (RFC 2326, 10.12)."""

    _PACKET = 7 * 188  # bytes of payload: whole MPEG-TS packets, within an Ethernet frame

    def __init__(self, connection: socket.socket) -> None:
        self._connection = connection
        self._rest = b""
        self._number = 0

    def write(self, content: bytes) -> int:
        """Take some of an MPEG-TS."""
        self._rest += content
        while len(self._rest) >= self._PACKET:
            payload, self._rest = self._rest[: self._PACKET], self._rest[self._PACKET :]
            clock = int(time.monotonic() * 90_000) % 2**32
            header = struct.pack(">BBHII", 0x80, 33, self._number % 2**16, clock, 1)
            frame = struct.pack(">cBH", b"$", 0, len(header) + len(payload))
            self._connection.sendall(frame + header + payload)
            self._number += 1
        return len(content)


def answer_until_play(connection: socket.socket) -> None:
    """The requests before the stream."""
    lines = connection.makefile("rb")
    while True:
        request = {}
        method = lines.readline().split()[0].decode()
        while (line := lines.readline().strip()) != b"":
            name, _, value = line.decode().partition(":")
            request[name.lower()] = value.strip()
        more, body = "", ""
        if method == "DESCRIBE":
            body = "v=0\r\no=- 0 0 IN IP4 127.0.0.1\r\ns=camera\r\nt=0 0\r\n"
            body += "m=video 0 RTP/AVP 33\r\na=control:track\r\n"
            more = f"Content-Type: application/sdp\r\nContent-Length: {len(body)}\r\n"
        elif method == "SETUP":
            assert "TCP" in request["transport"], "over UDP, pictures would be lost"
            more = "Transport: RTP/AVP/TCP;unicast;interleaved=0-1\r\nSession: 1\r\n"
        elif method == "PLAY":
            more = "Session: 1\r\n"
        status = f"RTSP/1.0 200 OK\r\nCSeq: {request['cseq']}\r\n{more}\r\n{body}"
        connection.sendall(status.encode())
        if method == "PLAY":
            return


def main(kind: str, port: int, fps: int) -> None:
    """Wait for a client, then send until it disconnects."""
    if kind == "tcp":
        serve(f"tcp://127.0.0.1:{port}?listen=1", fps)
        return
    with socket.create_server(("127.0.0.1", port)) as server:
        connection, _ = server.accept()
    answer_until_play(connection)
    serve(Interleaved(connection), fps)


if __name__ == "__main__":
    main(sys.argv[1], int(sys.argv[2]), int(sys.argv[3]))
