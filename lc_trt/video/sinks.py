"""Where pictures go: a video, one image, a folder of images.

Each is made before the run, when it finds out whether it can write there. Files appear
under their name only when they are complete.
"""

from __future__ import annotations

import os
import re
from abc import ABC, abstractmethod
from collections.abc import Sequence
from pathlib import Path

import cv2
import numpy as np
import numpy.typing as npt

from lc_trt.errors import LcTrtError, UsageError
from lc_trt.video.sources import DEFAULT_FPS, IMAGE_SUFFIXES, Source

Image = npt.NDArray[np.uint8]
VIDEO_CODECS = {".mp4": "mp4v", ".mkv": "mp4v", ".avi": "MJPG"}


class Sink(ABC):
    """Takes pictures, BGR uint8 [H, W, 3].

    Attributes:
        path: the file or folder it makes.
    """

    path: Path

    @abstractmethod
    def write(self, picture: Image, name: str) -> None:
        """Take one picture; ``name`` is its frame's."""

    @abstractmethod
    def finish(self) -> None:
        """Complete what was written; the file stands under its name after this."""

    @abstractmethod
    def abort(self) -> None:
        """Leave nothing half-written behind."""


class _File(Sink):
    """One file, written under another name and renamed when it is complete."""

    def __init__(self, path: Path) -> None:
        self.path = path
        # The suffix stays last: OpenCV chooses the format by it.
        self._partial = path.with_name(f".{path.stem}.{os.getpid()}.partial{path.suffix}")
        if path.is_dir():
            raise LcTrtError(f"{path}: a folder is in the way; choose another --save")
        _make_folder(path.parent, path)
        try:
            self._partial.touch()
        except OSError as error:
            raise _unwritable(path, error) from error

    def _keep(self) -> None:
        try:
            os.replace(self._partial, self.path)
        except OSError as error:
            raise _unwritable(self.path, error) from error

    def abort(self) -> None:
        self._partial.unlink(missing_ok=True)


class _Video(_File):
    """A video. All pictures must have the first one's size."""

    def __init__(self, path: Path, fps: float) -> None:
        super().__init__(path)
        self._fps = fps
        self._size: tuple[int, ...] = ()
        self._writer: cv2.VideoWriter | None = None

    def write(self, picture: Image, name: str) -> None:
        height, width = size = picture.shape[:2]
        if self._writer is None:
            self._size = size
            self._writer = cv2.VideoWriter(
                str(self._partial),
                cv2.VideoWriter.fourcc(*VIDEO_CODECS[self.path.suffix.lower()]),
                self._fps,
                (width + width % 2, height + height % 2),
            )
            if not self._writer.isOpened():
                raise LcTrtError(f"{self.path}: OpenCV has no encoder for a {width}x{height} video")
        if size != self._size:
            raise LcTrtError(
                f"{self.path}: {name} is {width}x{height}, the video "
                f"{self._size[1]}x{self._size[0]}; save pictures of several sizes to a folder"
            )
        if height % 2 or width % 2:
            # The codec halves the colour planes and would cut an odd row or column off.
            picture = np.pad(picture, ((0, height % 2), (0, width % 2), (0, 0)), mode="edge")
        self._writer.write(picture)

    def finish(self) -> None:
        if self._writer is not None:
            self._writer.release()
            self._keep()
        self.abort()

    def abort(self) -> None:
        if self._writer is not None:
            self._writer.release()
        super().abort()


class _Picture(_File):
    """One image: the picture number ``at`` (from 0), or the last one if there are fewer."""

    def __init__(self, path: Path, at: int = 0) -> None:
        super().__init__(path)
        self._remaining = at + 1
        self._picture: Image | None = None

    def write(self, picture: Image, name: str) -> None:
        if self._remaining:
            self._picture = picture
            self._remaining -= 1

    def finish(self) -> None:
        if self._picture is not None:
            if not cv2.imwrite(str(self._partial), self._picture):
                raise LcTrtError(f"{self.path}: OpenCV could not write it")
            self._keep()
        self.abort()


class _Folder(Sink):
    """A folder of PNGs named as their frames; images of other names in it stay."""

    def __init__(self, path: Path) -> None:
        self.path = path
        _make_folder(path, path)
        self._probe = path / f".{os.getpid()}.partial.png"
        try:
            self._probe.touch()
            self._probe.unlink()
        except OSError as error:
            raise _unwritable(path, error) from error
        self._names: set[str] = set()

    def write(self, picture: Image, name: str) -> None:
        unique, number = name, 2
        while unique in self._names:  # a.jpg and a.png, or files of several folders
            unique, number = f"{name}_{number}", number + 1
        self._names.add(unique)
        if not cv2.imwrite(str(self._probe), picture):
            raise LcTrtError(f"{self.path}: OpenCV could not write {unique}.png")
        os.replace(self._probe, self.path / f"{unique}.png")

    def finish(self) -> None:
        """Nothing is left to do: each image is complete when it appears."""

    def abort(self) -> None:
        self._probe.unlink(missing_ok=True)


def open_sinks(paths: Sequence[Path], source: Source, limit: int | None = None) -> list[Sink]:
    """Sinks for several paths, or none at all if one of them cannot be written."""
    sinks: list[Sink] = []
    try:
        for path in paths:
            if path in paths[: len(sinks)]:
                raise UsageError(f"{path}: given twice; choose another --save for each --view")
            sinks.append(open_sink(path, source, limit))
    except BaseException:
        for sink in sinks:
            sink.abort()
        raise
    return sinks


def open_sink(path: Path, source: Source, limit: int | None = None) -> Sink:
    """The sink for a path: a video or an image by its suffix, a folder without one.

    Args:
        path: what to make. An image of a film is its middle frame.
        source: where the frames come from.
        limit: frames the run stops after.

    Raises:
        LcTrtError: it cannot be written, or is a file the source reads.
        UsageError: the suffix is none of a video or an image, or the source has no known
            middle.
    """
    if path.exists() and any(path.samefile(file) for file in _read(source)):
        raise LcTrtError(f"{path}: the source itself; choose another --save")
    suffix = path.suffix.lower()
    if path.is_dir() or not suffix:
        return _Folder(path)
    if suffix in VIDEO_CODECS:
        return _Video(path, source.fps or DEFAULT_FPS)
    if suffix not in IMAGE_SUFFIXES:
        raise UsageError(
            f"{path}: unknown kind of output {suffix!r}; expected a video "
            f"({' '.join(VIDEO_CODECS)}), an image ({' '.join(IMAGE_SUFFIXES)}) or a folder"
        )
    count = source.count if limit is None else min(limit, source.count or limit)
    if count is None:
        raise UsageError(f"{path}: one image of {source.name} needs --frames N to stop after")
    if source.fps is None and count > 1:
        raise UsageError(f"{path}: one image, but {source.name} has {count}; save to a folder")
    return _Picture(path, count // 2)


def default_output(source: Source, view: str) -> Path:
    """Where pictures of a view go if nobody says: in the current folder, NAME_VIEW."""
    name = re.sub(r"[^\w.-]+", "", Path(source.name).stem) or "images"
    if source.fps is not None:
        return Path(f"{name}_{view}.mp4")
    return Path(f"{name}_{view}.png" if source.count == 1 else f"{name}_{view}")


def _read(source: Source) -> list[Path]:
    """What the source reads: its files and, where they are images, their folders."""
    files = list(source.files())
    return files if source.fps is not None else [*files, *{file.parent for file in files}]


def _make_folder(folder: Path, wanted: Path) -> None:
    try:
        folder.mkdir(parents=True, exist_ok=True)
    except OSError as error:
        raise _unwritable(wanted, error) from error


def _unwritable(path: Path, error: OSError) -> LcTrtError:
    return LcTrtError(f"{path}: cannot be written ({error.strerror}); choose another --save")
