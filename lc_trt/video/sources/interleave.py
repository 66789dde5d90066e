"""Merge the frames of several sources."""

from __future__ import annotations

from collections import deque
from collections.abc import Callable, Iterator, Sequence
from dataclasses import replace
from time import sleep

from lc_trt.video.base import Frame, Source

_NAP = 0.005  # seconds to sleep while no source has a frame


def interleave(
    sources: Sequence[Source],
    limit: int | None = None,
    on_running: Callable[[int], None] = lambda sources: None,
) -> Iterator[Frame]:
    """Iterate over sources in turn, one frame each, until all have ended.

    A live source without a frame is skipped, so that a lost camera does not delay the others.

    Args:
        sources: sources of frames.
        limit: maximum number of frames per source; None for all.
        on_running: called with the number of running sources, at the start and whenever one ends.

    Yields:
        Frames whose ``source`` is the index in ``sources``.
    """
    on_running(len(sources))
    turns = deque((number, source, iter(source), 0) for number, source in enumerate(sources))
    idle = 0
    while turns:
        number, source, frames, count = turns.popleft()
        if not source.ready and turns:
            turns.append((number, source, frames, count))
            idle += 1
            if idle >= len(turns):
                sleep(_NAP)
                idle = 0
            continue
        idle = 0
        frame = next(frames, None) if limit is None or count < limit else None
        if frame is not None:
            yield replace(frame, source=number)
            turns.append((number, source, frames, count + 1))
        else:
            on_running(len(turns))
