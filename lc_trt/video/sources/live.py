"""Cameras and network streams: a thread reads, a short queue drops, a lost one comes back."""

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
_FIRST_PAUSE, _LONGEST_PAUSE = 0.5, 8.0  # seconds between tries, doubled each time
_GRACE = 5.0  # seconds over the time-out, after which a reader that shows no life is given up

# Pictures of one connection; raises LcTrtError where there is none, and where it ends.
Connection: TypeAlias = Generator[Image, None, None]


class Drop(StrEnum):
    """What goes when frames come faster than they are used."""

    OLDEST = "oldest"
    NONE = "none"


@dataclass(frozen=True)
class LiveOptions:
    """How to read what is live.

    Attributes:
        drop: ``oldest`` keeps up with the present; ``none`` lets the sender wait.
        timeout: seconds without a frame after which the connection is given up.
        retries: tries in a row to get it back before the source counts as ended.
    """

    drop: Drop = Drop.OLDEST
    timeout: float = 10.0
    retries: int = 8


class Live(Source):
    """Frames as they come, with the time at which they came. Waits for the first one."""

    count = None

    def __init__(
        self,
        name: str,
        connect: Callable[[], Connection],
        options: LiveOptions,
        *,
        first: Connection | None = None,
        fps: float = DEFAULT_FPS,
        sound: int = 0,
    ) -> None:
        """Start reading.

        Args:
            connect: called in the reader's thread, for the first connection and each later one.
            first: the first connection, where it is open already.
            fps: frames a second, as far as anybody knows.

        Raises:
            LcTrtError: no first frame within the time-out.
        """
        self.name, self.fps, self.sound = name, fps, sound
        self._connect, self._options = connect, options
        self._changed = threading.Condition()
        self._queue: deque[Frame] = deque()
        self._read = 0
        self._start = self._life = monotonic()
        self._closed = self._ended = False
        self._lost = False  # ended before somebody closed it
        self._failure = ""  # the last reason for which a connection was given up
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
        self._failure = f"no sign of life for {self._options.timeout + _GRACE:g} s"
        self._ended = self._lost = True

    @property
    def ready(self) -> bool:
        """Whether a frame has come, or the source has ended."""
        return bool(self._queue) or self._ended or self._closed or self._overdue()

    def report(self) -> Sequence[str]:
        """What was dropped and lost, and why it ended."""
        found = []
        if self.dropped:
            found.append(f"{self.dropped} of {self._read} frames dropped to keep up")
        if self.reconnects:
            times = f"{self.reconnects} times" if self.reconnects > 1 else "once"
            found.append(f"lost and back {times}")
        if self._lost:
            found.append("ended: " + self._failure.removeprefix(f"{self.name}: "))
        return found

    def close(self) -> None:
        """Stop reading; iterating ends."""
        with self._changed:
            self._closed = True
            self._queue.clear()
            self._changed.notify_all()
        self._thread.join(1.0)  # held up in the driver or the network, it leaves when it can

    def _overdue(self) -> bool:
        return monotonic() - self._life > self._options.timeout + _GRACE

    def _wait(self) -> bool:
        """Wait for a frame or the end; False where the reader shows no sign of life."""
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
                break  # what was never there: the caller should know at once
            connection = None
            failures = 1 if self._read > before else failures + 1
        with self._changed:
            self._ended, self._lost = True, not self._closed
            self._changed.notify_all()

    def _read_one(self, connection: Connection) -> None:
        """Read one connection to its end, which is an error that says why, or until closed."""
        lost = self._read > 0
        self._life = monotonic()
        try:
            for image in connection:
                self.reconnects += lost
                lost = False
                if not self._put(image):
                    return
        finally:
            connection.close()

    def _pause(self, failures: int) -> bool:
        """Wait before the next try, longer each time; False when closed meanwhile."""
        pause = min(_FIRST_PAUSE * 2 ** (failures - 1), _LONGEST_PAUSE)
        self._life = monotonic() + pause
        with self._changed:
            return not self._changed.wait_for(lambda: self._closed, pause)

    def _put(self, image: Image) -> bool:
        """Queue a frame; False when closed."""
        if not self._read:
            self._start = monotonic()
        frame = Frame.of_film(image, self._read, monotonic() - self._start)
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
            self._life = monotonic()
            self._changed.notify_all()
        return True


def open_webcam(number: int, options: LiveOptions) -> Live:
    """A camera of this machine, by its number."""
    name = f"webcam {number}"

    def connect() -> Connection:
        capture = _capture(number)
        try:
            if not capture.isOpened():
                raise LcTrtError(
                    f"{name}: cannot be opened; is it plugged in, and no other program using it?"
                )
            while (read := capture.read())[0]:
                yield np.asarray(read[1], np.uint8)
        finally:
            capture.release()
        raise LcTrtError(f"{name}: gives no frames any more")

    return Live(name, connect, options)


def _capture(number: int) -> cv2.VideoCapture:
    with opencv_silent():  # it logs each backend that cannot open something
        return cv2.VideoCapture(number)


def open_network(url: str, options: LiveOptions) -> Source:
    """What a server sends: a stream, or a film if it knows where that ends."""
    name = re.sub(r"//[^/@]*@", "//", url)  # a password is for the server only
    # Over UDP, which is FFmpeg's default for RTSP, lost packets become smeared pictures.
    protocol = {"rtsp_transport": "tcp"} if url.startswith("rtsp") else {}

    def open_again() -> InputContainer:
        return open_container(url, name, timeout=options.timeout, options=protocol)

    def pictures(container: InputContainer) -> Connection:
        try:
            decoder = Decoder(container, live=True)
            for image, _ in decoder:
                yield image
        finally:
            container.close()
        raise LcTrtError(f"{name}: {decoder.damage.lost or 'the sender ended it'}")

    container = open_again()
    if container.duration and not url.startswith("rtsp"):
        return VideoFile(name, container)
    return Live(
        name,
        lambda: pictures(open_again()),
        options,
        first=pictures(container),
        fps=Decoder(container).fps,
        sound=len(container.streams.audio),
    )
