"""A frame and the video that it belongs to."""

from __future__ import annotations

from collections.abc import Hashable, Iterable
from dataclasses import dataclass, field
from typing import TypeAlias

import numpy as np
import numpy.typing as npt

from lc_trt.runtime.resize import check_frame


@dataclass(frozen=True)
class SourceFrame:
    """A frame of one of several videos that share a stream.

    Example:
        ```python
        frames = (SourceFrame(image, source=name) for name, image in cameras)
        with segmenter.stream(frames, reuse=lc_trt.Reuse()) as results:
            ...
        ```

    Attributes:
        image: BGR, uint8 [H, W, 3].
        source: identifies the video; temporal reuse keeps one state per source.
    """

    image: npt.NDArray[np.uint8]
    source: Hashable = field(default=None, kw_only=True)


FrameLike: TypeAlias = npt.NDArray[np.uint8] | SourceFrame


def check_frames(frames: Iterable[FrameLike]) -> list[SourceFrame]:
    """Validate frames.

    Args:
        frames: uint8 [H, W, 3] each, BGR, of any sizes; those without a source share one.

    Returns:
        Frames with a source and a contiguous image.

    Raises:
        UsageError: another type or shape; the message says how to convert it.
    """
    sourced = (f if isinstance(f, SourceFrame) else SourceFrame(f) for f in frames)
    return [SourceFrame(check_frame(f.image), source=f.source) for f in sourced]
