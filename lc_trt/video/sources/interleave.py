"""Frames of several sources as one sequence."""

from __future__ import annotations

from collections import deque
from collections.abc import Callable, Iterator, Sequence
from dataclasses import replace
from time import sleep

from lc_trt.video.base import Frame, Source

_NAP = 0.005  # seconds, where no source has a frame yet


def interleave(
    sources: Sequence[Source],
    limit: int | None = None,
    running: Callable[[int], None] = lambda sources: None,
) -> Iterator[Frame]:
    """One frame of each source in turn, until all have ended.

    A live source without a frame is skipped, so a lost camera does not delay the others.

    Args:
        sources: where frames come from.
        limit: frames of each source after which it counts as ended.
        running: called with the number of sources that have not ended, at first and when one does.

    Yields:
        Frames whose ``source`` is the index in ``sources``.
    """
    running(len(sources))
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
            running(len(turns))
