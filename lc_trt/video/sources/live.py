"""Cameras and network streams, read by a thread into a short queue and reconnected when lost."""

from __future__ import annotations

import re
import threading
from collections import deque
from collections.abc import Callable, Generator, Iterator, Sequence
from dataclasses import dataclass
from enum import StrEnum
from time import monotonic
from typing import TypeAlias

import cv2
import numpy as np
from av.container import InputContainer

from lc_trt.errors import LcTrtError
from lc_trt.video.base import DEFAULT_FPS, Frame, Image, Source
from lc_trt.video.sources.decode import Decoder, open_container
from lc_trt.video.sources.images import opencv_silent
from lc_trt.video.sources.video_file import VideoFile

_QUEUE = 4  # frames

# Images of one connection; raises LcTrtError if it cannot be opened and when it ends.
Connection: TypeAlias = Generator[Image, None, None]


class Drop(StrEnum):
    """Overflow policy of the frame queue."""

    OLDEST = "oldest"
    NONE = "none"


@dataclass(frozen=True)
class LiveOptions:
    """Options of live sources.

    Attributes:
        drop: ``oldest`` drops the oldest frame, to keep up; ``none`` makes the sender wait.
        timeout: seconds without a frame after which a connection is given up.
        retries: consecutive failed connections after which the source ends.
        first_pause: seconds before the first retry; the pause doubles with each failure.
        longest_pause: seconds that the pause grows to at most.
        grace: seconds after ``timeout`` until an unresponsive reader is given up.
    """

    drop: Drop = Drop.OLDEST
    timeout: float = 10.0
    retries: int = 8
    first_pause: float = 0.5
    longest_pause: float = 8.0
    grace: float = 5.0


class Live(Source):
    """A live source; frames have the time of their arrival.

    Args:
        name: of the source.
        connect: opens a connection; called in the reader thread, also to reconnect.
        options: of the queue and of reconnecting.
        first: the first connection, if already open.
        fps: nominal frames per second.
        audio_streams: number of audio streams, which are not read.

    Raises:
        LcTrtError: no first frame within the time-out.
    """

    count = None

    def __init__(
        self,
        name: str,
        connect: Callable[[], Connection],
        options: LiveOptions,
        *,
        first: Connection | None = None,
        fps: float = DEFAULT_FPS,
        audio_streams: int = 0,
    ) -> None:
        self.name, self.fps, self.audio_streams = name, fps, audio_streams
        self._connect, self._options = connect, options
        self._changed = threading.Condition()
        self._queue: deque[Frame] = deque()
        self._read = 0
        self._start = self._last_response = monotonic()
        self._closed = self._ended = False
        self._lost = False  # ended without being closed
        self._failure = ""  # why the last connection ended
        self._thread = threading.Thread(
            target=self._read_all, args=(first,), name="lc-trt-live", daemon=True
        )
        self._thread.start()
        if not self._wait() or not self._queue:
            self.close()
            raise LcTrtError(self._failure or f"{name}: no frame within {options.timeout:g} s")

    def __iter__(self) -> Iterator[Frame]:
        while self._wait():
            with self._changed:
                if not self._queue:
                    return
                frame = self._queue.popleft()
                self._changed.notify_all()
            yield frame
        self._failure = f"no response for {self._give_up_after:g} s"
        self._ended = self._lost = True

    @property
    def ready(self) -> bool:
        """Whether a frame is queued, or the source has ended."""
        return bool(self._queue) or self._ended or self._closed or self._overdue()

    def problems(self) -> Sequence[str]:
        """Dropped frames, reconnects, and why the source ended."""
        messages = []
        if self.dropped:
            messages.append(f"{self.dropped} of {self._read} frames dropped to keep up")
        if self.reconnects:
            times = f"{self.reconnects} times" if self.reconnects > 1 else "once"
            messages.append(f"reconnected {times}")
        if self._lost:
            messages.append("ended: " + self._failure.removeprefix(f"{self.name}: "))
        return messages

    def close(self) -> None:
        """Stop reading; iterating ends."""
        with self._changed:
            self._closed = True
            self._queue.clear()
            self._changed.notify_all()
        self._thread.join(1.0)  # it may be blocked in a driver or the network, and ends later

    @property
    def _give_up_after(self) -> float:
        return self._options.timeout + self._options.grace

    def _overdue(self) -> bool:
        return monotonic() - self._last_response > self._give_up_after

    def _wait(self) -> bool:
        """Wait for a frame or the end; False if the reader is unresponsive."""
        with self._changed:
            while not (self._queue or self._ended or self._closed):
                if self._overdue():
                    return False
                self._changed.wait(0.5)
            return True

    def _read_all(self, connection: Connection | None) -> None:
        failures = 0
        while failures <= self._options.retries:
            if failures and not self._pause(failures):
                break
            before = self._read
            try:
                self._read_one(connection or self._connect())
            except LcTrtError as error:
                self._failure = str(error)
            except Exception as error:
                self._failure = f"{self.name}: unexpected {type(error).__name__}: {error}"
            if self._closed or not self._read:
                break  # never connected: fail at once
            connection = None
            failures = 1 if self._read > before else failures + 1
        with self._changed:
            self._ended, self._lost = True, not self._closed
            self._changed.notify_all()

    def _read_one(self, connection: Connection) -> None:
        """Read a connection until it ends, which raises an error, or until closed."""
        reconnecting = self._read > 0
        self._last_response = monotonic()
        try:
            for image in connection:
                self.reconnects += reconnecting
                reconnecting = False
                if not self._put(image):
                    return
        finally:
            connection.close()

    def _pause(self, failures: int) -> bool:
        """Wait before the next retry, longer each time; False if closed meanwhile."""
        options = self._options
        pause = min(options.first_pause * 2 ** (failures - 1), options.longest_pause)
        self._last_response = monotonic() + pause
        with self._changed:
            return not self._changed.wait_for(lambda: self._closed, pause)

    def _put(self, image: Image) -> bool:
        """Queue a frame; False if closed."""
        if not self._read:
            self._start = monotonic()
        frame = Frame.of_video(image, self._read, monotonic() - self._start)
        with self._changed:
            if self._options.drop is Drop.NONE:
                self._changed.wait_for(lambda: len(self._queue) < _QUEUE or self._closed)
            if self._closed:
                return False
            if len(self._queue) == _QUEUE:
                self._queue.popleft()
                self.dropped += 1
            self._queue.append(frame)
            self._read += 1
            self._last_response = monotonic()
            self._changed.notify_all()
        return True


def open_webcam(number: int, options: LiveOptions) -> Live:
    """Open a camera of this machine.

    Args:
        number: of the camera, from 0.
        options: of the queue and of reconnecting.

    Raises:
        LcTrtError: it cannot be opened, or gives no frame within the time-out.
    """
    name = f"webcam {number}"

    def connect() -> Connection:
        capture = _capture(number)
        try:
            if not capture.isOpened():
                raise LcTrtError(
                    f"{name}: cannot be opened; is it plugged in and not in use by another program?"
                )
            while (read := capture.read())[0]:
                yield np.asarray(read[1], np.uint8)
        finally:
            capture.release()
        raise LcTrtError(f"{name}: stopped giving frames")

    return Live(name, connect, options)


def _capture(number: int) -> cv2.VideoCapture:
    with opencv_silent():  # it logs every backend that fails
        return cv2.VideoCapture(number)


def open_network(url: str, options: LiveOptions) -> Source:
    """Open a URL.

    Args:
        url: any protocol that FFmpeg supports.
        options: of the queue and of reconnecting.

    Returns:
        A live source, or a `VideoFile` if the server has a complete file.

    Raises:
        LcTrtError: it cannot be opened, has no video, or gives no frame within the time-out.
    """
    name = re.sub(r"//[^/@]*@", "//", url)  # without user name and password
    # FFmpeg's default for RTSP is UDP, where lost packets corrupt frames.
    protocol = {"rtsp_transport": "tcp"} if url.startswith("rtsp") else {}

    def open_again() -> InputContainer:
        return open_container(url, name, timeout=options.timeout, options=protocol)

    def images(container: InputContainer) -> Connection:
        try:
            decoder = Decoder(container, live=True)
            for image, _ in decoder:
                yield image
        finally:
            container.close()
        raise LcTrtError(f"{name}: {decoder.damage.error or 'ended by the sender'}")

    container = open_again()
    if container.duration and not url.startswith("rtsp"):
        return VideoFile(name, container)
    return Live(
        name,
        lambda: images(open_again()),
        options,
        first=images(container),
        fps=Decoder(container).fps,
        audio_streams=len(container.streams.audio),
    )
