"""What a frame and a source of frames are."""

from __future__ import annotations

from abc import ABC, abstractmethod
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import numpy.typing as npt

DEFAULT_FPS = 25.0  # of what does not say

Image = npt.NDArray[np.uint8]


@dataclass(frozen=True)
class Frame:
    """One frame.

    Attributes:
        image: uint8 [H, W, 3], BGR.
        index: 0 for the first; a live source counts those it dropped too.
        name: what to call its picture, without a suffix.
        time: seconds after the first one; None where frames are no film.
    """

    image: Image
    index: int
    name: str
    time: float | None = None

    @classmethod
    def of_film(cls, image: Image, index: int, time: float) -> Frame:
        """A frame of a film, named by its number."""
        return cls(image, index, f"frame{index:06d}", time)


class Source(ABC):
    """Frames in order, once.

    Attributes:
        name: how messages and default outputs call it.
        count: frames it has, None if unknown; of a video only what its header says.
        fps: frames a second (of a video with a variable rate, their mean), None where they are
            not a film.
        sound: streams of sound that it has too, which nothing here reads.
        dropped: frames a live source has dropped so far because nobody was ready for them.
        reconnects: times that a live source came back after it was lost.
    """

    name: str
    count: int | None
    fps: float | None
    sound: int = 0
    dropped: int = 0
    reconnects: int = 0

    @abstractmethod
    def __iter__(self) -> Iterator[Frame]:
        """The frames; an image that cannot be read is an `LcTrtError`."""

    @property
    def ready(self) -> bool:
        """Whether the next frame, or the end, is there without waiting for somebody else."""
        return True

    def files(self) -> Sequence[Path]:
        """The files it reads, which no output may replace."""
        return ()

    def report(self) -> Sequence[str]:
        """What was amiss so far, a sentence each without the source's name; empty is good."""
        return ()

    def close(self) -> None:  # noqa: B027 - most sources hold nothing
        """Free what the source holds; may be called while another thread waits for a frame."""

    def __enter__(self) -> Source:
        return self

    def __exit__(self, *_: object) -> None:
        self.close()
