"""Frames from sources through a segmenter into sinks."""

from __future__ import annotations

from collections import deque
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass, field
from time import perf_counter

import numpy as np
import numpy.typing as npt

from lc_trt.bundle.thresholds import Rho
from lc_trt.runtime.governor.governor import Governor
from lc_trt.runtime.result import Result
from lc_trt.runtime.segmenter import Segmenter
from lc_trt.runtime.temporal_reuse import Reuse
from lc_trt.video.base import Frame, Source
from lc_trt.video.sinks.open import Output, abort, finish
from lc_trt.video.sources.interleave import interleave

_KEPT = 10_000  # frames whose latency is remembered: a camera may run for months
_GLANCE = 0.1  # seconds between questions whether to stop, where no frame comes


@dataclass
class Stats:
    """What a run has done so far.

    Attributes:
        frames: frames segmented.
        seconds: wall time, with reading, drawing and writing.
        latency: milliseconds of the segmenter for each of the last 10,000 frames.
        expected: frames the sources announced, no more than the limit; None if unknown.
        dropped: frames that live sources dropped.
        reconnects: times that live sources came back after they were lost.
        interrupted: whether ``stop()`` ended it.
    """

    expected: int | None = None

    frames: int = 0
    seconds: float = 0.0
    latency: deque[float] = field(default_factory=lambda: deque(maxlen=_KEPT))
    dropped: int = 0
    reconnects: int = 0
    interrupted: bool = False
    _shares: tuple[float, float, float] | None = None
    _reuse: tuple[float, float] | None = None

    def add(self, result: Result) -> None:
        """Count one frame."""
        self.frames += 1
        self.latency.append(result.timing["total"])
        if result.shares is not None:
            a, b, c = self._shares or (0.0, 0.0, 0.0)
            x, y, z = result.shares
            self._shares = (a + x, b + y, c + z)
        if result.computed is not None and result.reused is not None:
            a, b = self._reuse or (0.0, 0.0)
            self._reuse = (a + result.computed, b + result.reused)

    @property
    def fps(self) -> float:
        """Frames a second of the whole run, 0 before the first."""
        return self.frames / self.seconds if self.seconds else 0.0

    @property
    def shares(self) -> tuple[float, float, float] | None:
        """Mean parts of the pixels that left at stages 1, 2 and 3; None for a dense network."""
        if self._shares is None:
            return None
        a, b, c = self._shares
        return a / self.frames, b / self.frames, c / self.frames

    @property
    def reuse(self) -> tuple[float, float] | None:
        """Mean parts of the pixels that stages 2 and 3 computed, and that kept a result."""
        if self._reuse is None:
            return None
        return self._reuse[0] / self.frames, self._reuse[1] / self.frames

    def percentile(self, q: float) -> float:
        """Latency in ms that ``q`` percent of the remembered frames stay under, 0 before any."""
        return float(np.percentile(self.latency, q)) if self.frames else 0.0


def run(
    sources: Sequence[Source],
    segmenter: Segmenter,
    outputs: Sequence[Sequence[Output]],
    *,
    rho: Rho | Governor | None = None,
    reuse: Reuse | None = None,
    limit: int | None = None,
    on_frame: Callable[[Stats, Source, Frame, Result], None] | None = None,
    stop: Callable[[], bool] = lambda: False,
) -> Stats:
    """Segment sources to their end, to ``limit`` frames of each or until ``stop()``.

    Frames of several sources come in turns and share passes. Reading, inference and drawing
    overlap. However it ends, every output is complete; an error leaves none behind.

    Args:
        sources: where frames come from.
        segmenter: what runs; as many frames a pass as it was built for.
        outputs: for each source, which picture of each result goes where.
        rho: thresholds, as `Segmenter` takes them; a governor holds its rate for each source.
        reuse: lets pixels that have not moved keep their results, source by source.
        limit: frames of each source to stop after.
        on_frame: called after each frame is written, to show progress.
        stop: asked before each frame, and several times a second where none comes; nothing is
            written after a True.

    Returns:
        Figures of the whole run.
    """
    stats = Stats(_expected(sources, limit))
    waiting: deque[tuple[int, Frame]] = deque()  # frames in the segmenter
    whose: deque[int] = deque()  # sources of the frames that it has not yet asked for

    def running(sources: int) -> None:
        if isinstance(rho, Governor):
            rho.share_among(sources)

    def images() -> Iterator[npt.NDArray[np.uint8]]:
        for number, frame in interleave(sources, limit, running):
            waiting.append((number, frame))
            whose.append(number)
            yield frame.image

    start = perf_counter()
    try:
        turns = iter(whose.popleft, None)
        with segmenter.stream(images(), rho, reuse=reuse, sources=turns) as results:
            while not stop():
                try:
                    result = results.get(_GLANCE)
                except TimeoutError:
                    continue
                except StopIteration:
                    break
                number, frame = waiting.popleft()
                for output in outputs[number]:
                    output.sink.write(output.draw(result), frame)
                stats.add(result)
                stats.dropped = sum(source.dropped for source in sources)
                stats.reconnects = sum(source.reconnects for source in sources)
                stats.seconds = perf_counter() - start
                if on_frame is not None:
                    on_frame(stats, sources[number], frame, result)
            else:
                stats.interrupted = True
        finish(outputs)
    except BaseException:
        abort(outputs)
        raise
    return stats


def _expected(sources: Sequence[Source], limit: int | None) -> int | None:
    total = 0
    for source in sources:
        if source.count is None:
            return None
        total += source.count if limit is None else min(source.count, limit)
    return total
