"""A finite set of images: files, or frames sampled over videos. They are decoded when iterated."""

from __future__ import annotations

import hashlib
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass
from itertools import groupby
from pathlib import Path

from lc_trt.data.images import spread
from lc_trt.errors import LcTrtError
from lc_trt.video.base import Image
from lc_trt.video.sources.images import Images, is_image
from lc_trt.video.sources.open import open_source

VIDEO_SUFFIXES = (
    ".avi", ".m4v", ".mkv", ".mov", ".mp4", ".mpeg", ".mpg", ".mts", ".ts", ".webm", ".wmv",
)  # fmt: skip


@dataclass(frozen=True)
class FrameAddress:
    """Where an image is.

    Attributes:
        file: an image, or a video.
        index: number of the frame in a video, from 0; None for an image.
    """

    file: Path
    index: int | None = None


@dataclass(frozen=True)
class FrameSet:
    """Images in a fixed order.

    Attributes:
        origin: description of where they come from, without local folders.
        addresses: of the images; those of a video in ascending order.
    """

    origin: str
    addresses: tuple[FrameAddress, ...]

    def __len__(self) -> int:
        return len(self.addresses)

    @property
    def clips(self) -> int:
        """Number of videos that the images are frames of; 0 for still images."""
        return len({a.file for a in self.addresses if a.index is not None})

    @property
    def digest(self) -> str:
        """SHA-256 over names and sizes in bytes of the files, and frame numbers."""
        digest = hashlib.sha256()
        for address in self.addresses:
            size = address.file.stat().st_size
            digest.update(f"{address.file.name}\0{size}\0{address.index}\n".encode())
        return digest.hexdigest()

    def select(self, indices: Sequence[int]) -> FrameSet:
        """The images at the given positions.

        Args:
            indices: ascending positions.
        """
        return FrameSet(self.origin, tuple(self.addresses[i] for i in indices))

    def read(self, skip: Callable[[Path], None] | None = None) -> Iterator[tuple[int, Image]]:
        """Decode the images.

        Args:
            skip: called with each image file that cannot be read, which is then left out; without
                it, such a file raises.

        Yields:
            Position in this set, and the image, BGR uint8 [H, W, 3]. Fewer frames come from a
            video that is shorter than its header says.

        Raises:
            LcTrtError: an image or a video cannot be read.
        """
        numbered = enumerate(self.addresses)
        for file, group in groupby(numbered, key=lambda item: item[1].file):
            wanted = {address.index: position for position, address in group}
            if None in wanted:
                try:
                    with Images(file.name, [file]) as source:
                        yield wanted[None], next(iter(source)).image
                except LcTrtError:
                    if skip is None:
                        raise
                    skip(file)
                continue
            with open_source(str(file)) as source:
                for frame in source:
                    position = wanted.pop(frame.index, None)
                    if position is not None:
                        yield position, frame.image
                    if not wanted:
                        break


def find_frames(source: Path, limit: int) -> FrameSet:
    """List images, evenly spread over a source.

    Frames of videos are sampled over all clips alike, each in the middle of an equal part of its
    clip; with more clips than ``limit``, one frame per clip of evenly spread clips.

    Args:
        source: a folder of images, a folder of videos, a video, an image, or a pattern such as
            ``"street/*.png"``.
        limit: largest number of images.

    Raises:
        LcTrtError: nothing of this kind there, or images and videos in one folder.
    """
    origin = source.resolve().name
    clips: Sequence[Path] = ()
    if source.is_dir():
        clips = clips_in(source)
    if not clips:
        with open_source(str(source)) as opened:
            files = opened.files()
            if opened.fps is None:
                chosen = (files[i] for i in spread(len(files), limit))
                return FrameSet(origin, tuple(FrameAddress(file) for file in chosen))
            clips = files
    if not clips:
        raise LcTrtError(f"{source}: a live source; expected a folder of images, or videos")
    return FrameSet(origin, tuple(_sample(clips, limit)))


def clips_in(folder: Path) -> list[Path]:
    """List the videos of a folder by name; empty for a folder without videos.

    Args:
        folder: without its subfolders.

    Raises:
        LcTrtError: it holds images too.
    """
    files = [p for p in sorted(folder.iterdir()) if p.is_file() and not p.name.startswith(".")]
    clips = [p for p in files if p.suffix.lower() in VIDEO_SUFFIXES]
    images = sum(is_image(p) for p in files)
    if clips and images:
        raise LcTrtError(
            f"{folder}: holds {len(clips)} videos and {images} images; expected one kind, since "
            "frames of a video are no independent images"
        )
    return clips


def _sample(clips: Sequence[Path], limit: int) -> Iterator[FrameAddress]:
    chosen = [clips[i] for i in spread(len(clips), limit)]
    for number, clip in enumerate(chosen):
        count = limit // len(chosen) + (number < limit % len(chosen))
        with open_source(str(clip)) as source:
            length = source.count or count  # unknown: the first frames
        parts = min(count, length)
        for part in range(parts):
            yield FrameAddress(clip, (2 * part + 1) * length // (2 * parts))
