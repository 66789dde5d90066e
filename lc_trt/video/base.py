"""Frames and frame sources."""

from __future__ import annotations

from abc import ABC, abstractmethod
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import numpy.typing as npt

from lc_trt.runtime.source_frame import SourceFrame

DEFAULT_FPS = 25.0  # where the frame rate is unknown

Image = npt.NDArray[np.uint8]


@dataclass(frozen=True)
class Frame(SourceFrame):
    """A frame with its place in its source.

    Attributes:
        index: frame number from 0; a live source counts dropped frames too.
        name: base name of files made from it, without a suffix.
        time: seconds since the first frame; None for still images.
    """

    index: int
    name: str
    time: float | None = None

    @classmethod
    def of_video(cls, image: Image, index: int, time: float) -> Frame:
        """Create a frame of a video, named by its number.

        Args:
            image: BGR, uint8 [H, W, 3].
            index: frame number from 0.
            time: seconds since the first frame.
        """
        return cls(image, index, f"frame{index:06d}", time)


class Source(ABC):
    """An iterable of frames that can be consumed once.

    Attributes:
        name: used in messages and default output paths.
        count: number of frames, None if unknown; for a video, what its header says.
        fps: frames per second, the mean for a variable rate; None for still images.
        audio_streams: number of audio streams, which are not read.
        dropped: frames that a live source has dropped so far to keep up.
        reconnects: how often a live source has been reconnected.
    """

    name: str
    count: int | None
    fps: float | None
    audio_streams: int = 0
    dropped: int = 0
    reconnects: int = 0

    @abstractmethod
    def __iter__(self) -> Iterator[Frame]:
        """Iterate over the frames; raises `LcTrtError` if none can be read."""

    @property
    def ready(self) -> bool:
        """Whether the next frame, or the end, is available without waiting."""
        return True

    def files(self) -> Sequence[Path]:
        """Files that the source reads, which outputs must not replace."""
        return ()

    def problems(self) -> Sequence[str]:
        """Problems so far, one message each, without the source's name."""
        return ()

    def close(self) -> None:  # noqa: B027 - most sources hold no resources
        """Release resources; safe while another thread waits for a frame."""

    def __enter__(self) -> Source:
        return self

    def __exit__(self, *_: object) -> None:
        self.close()
