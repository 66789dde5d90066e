"""Opens sources by name."""

from __future__ import annotations

import glob
import re
from collections.abc import Iterator, Sequence
from contextlib import ExitStack, contextmanager
from pathlib import Path

import cv2

from lc_trt.data.images import IMAGE_SUFFIXES
from lc_trt.errors import LcTrtError, UsageError
from lc_trt.video.base import DEFAULT_FPS, Source
from lc_trt.video.sources.images import Images, is_animated, is_image
from lc_trt.video.sources.live import LiveOptions, open_network, open_webcam
from lc_trt.video.sources.raw import RawFrames
from lc_trt.video.sources.video_file import VideoFile

STDIN = "-"


def open_source(
    text: str,
    *,
    raw: tuple[int, int] | None = None,
    fps: float | None = None,
    live: LiveOptions | None = None,
) -> Source:
    """Open a source.

    Args:
        text: an image, a video, a folder of images, a pattern such as ``"street/*.png"``, the
            number of a webcam, a URL (rtsp, http and other protocols of FFmpeg), or ``-`` for raw
            frames on stdin.
        raw: (height, width) of raw frames in pixels.
        fps: frames per second of raw frames.
        live: options of webcams and streams.

    Raises:
        LcTrtError: no such file, an empty one, or nothing that can be decoded.
        UsageError: ``-`` without ``raw``.
    """
    live = live or LiveOptions()
    path = Path(text)
    if text == STDIN:
        if raw is None:
            raise UsageError("source -: needs the size of the frames, as in --raw 640x480")
        return RawFrames(raw, fps=fps or DEFAULT_FPS)
    if path.is_dir():
        return _images(text, [p for p in path.iterdir() if is_image(p)], "no images in it")
    if path.is_file():
        if path.stat().st_size == 0:
            raise LcTrtError(f"{path}: an empty file, expected an image or a video")
        if cv2.haveImageReader(text) and not is_animated(path):
            return Images(text, [path])
        return VideoFile(text)
    if text.isdecimal():
        return open_webcam(int(text), live)
    if re.match(r"[a-z][a-z0-9+.-]*://", text):
        return open_network(text, live)
    if any(c in text for c in "*?["):
        return _images(text, [Path(p) for p in glob.glob(text, recursive=True)], "no matching file")
    raise LcTrtError(
        f"{path}: no such file; expected an image, a video, a folder of images, a URL or a webcam "
        "number"
    )


@contextmanager
def open_sources(
    texts: Sequence[str],
    *,
    raw: tuple[int, int] | None = None,
    fps: float | None = None,
    live: LiveOptions | None = None,
) -> Iterator[list[Source]]:
    """Open several sources, or none if one fails; they are closed at the end of the block.

    Args:
        texts: as ``text`` of `open_source`.
        raw: (height, width) of raw frames in pixels.
        fps: frames per second of raw frames.
        live: options of webcams and streams.

    Raises:
        LcTrtError: a source cannot be opened.
        UsageError: invalid combination of sources and options.
    """
    if texts.count(STDIN) > 1:
        raise UsageError("source -: given twice, expected once")
    if raw is not None and STDIN not in texts:
        raise UsageError("--raw: applies to frames on stdin; expected --source -")
    with ExitStack() as stack:
        yield [stack.enter_context(open_source(t, raw=raw, fps=fps, live=live)) for t in texts]


def _images(name: str, paths: list[Path], problem: str) -> Source:
    paths = [p for p in paths if p.is_file()]
    if not paths:
        raise LcTrtError(f"{name}: {problem}; expected images ({' '.join(IMAGE_SUFFIXES)})")
    return Images(name, paths)
