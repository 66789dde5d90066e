"""Frames from a source through a segmenter into sinks."""

from __future__ import annotations

from array import array
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass, field
from itertools import islice
from time import perf_counter

import numpy as np

from lc_trt.runtime.result import ALPHA, Result
from lc_trt.runtime.segmenter import Segmenter
from lc_trt.runtime.views import View
from lc_trt.thresholds import Rho
from lc_trt.video.sinks import Sink
from lc_trt.video.sources import Frame, Source


@dataclass
class Stats:
    """What a run has done so far.

    Attributes:
        frames: frames segmented.
        seconds: wall time, with reading, drawing and writing.
        latency: milliseconds of the segmenter a frame.
        expected: frames the source announced, no more than the limit; None if unknown.
        interrupted: whether ``stop()`` ended it.
    """

    expected: int | None = None

    frames: int = 0
    seconds: float = 0.0
    latency: array[float] = field(default_factory=lambda: array("d"))
    interrupted: bool = False
    _shares: tuple[float, float, float] | None = None

    def add(self, result: Result) -> None:
        """Count one frame."""
        self.frames += 1
        self.latency.append(result.timing["total"])
        if result.shares is not None:
            a, b, c = self._shares or (0.0, 0.0, 0.0)
            x, y, z = result.shares
            self._shares = (a + x, b + y, c + z)

    @property
    def cut_short(self) -> bool:
        """Whether the source ended well before it said: a damaged video, for one."""
        # Headers of sound videos are off by a frame or two.
        return (
            self.expected is not None
            and not self.interrupted
            and self.frames < min(self.expected - 2, 0.98 * self.expected)
        )

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

    def percentile(self, q: float) -> float:
        """Latency in milliseconds that ``q`` percent of the frames stay under, 0 before any."""
        return float(np.percentile(self.latency, q)) if self.frames else 0.0


def run(
    source: Source,
    segmenter: Segmenter,
    outputs: Sequence[tuple[View, Sink]],
    *,
    rho: Rho | None = None,
    alpha: float = ALPHA,
    limit: int | None = None,
    on_frame: Callable[[Stats], None] | None = None,
    stop: Callable[[], bool] = lambda: False,
) -> Stats:
    """Segment a source to its end, to ``limit`` frames or until ``stop()``.

    However it ends, every output is complete; an error leaves none behind.

    Args:
        source: where frames come from.
        segmenter: what runs; as many frames a pass as it was built for.
        outputs: which picture of each result goes where.
        rho: thresholds, as `Segmenter` takes them.
        alpha: share of the colours in overlays.
        limit: frames to stop after.
        on_frame: called after each frame, to show progress.
        stop: asked before each frame is written; nothing is read or written after a True.

    Returns:
        Figures of the whole run.
    """
    stats = Stats(_expected(source, limit))
    start = perf_counter()
    try:
        for frame, result in _results(source, segmenter, rho, limit):
            if stop():
                stats.interrupted = True
                break
            for view, sink in outputs:
                sink.write(result.view(view, alpha), frame.name)
            stats.add(result)
            stats.seconds = perf_counter() - start
            if on_frame is not None:
                on_frame(stats)
        for _, sink in outputs:
            sink.finish()
    except BaseException:
        for _, sink in outputs:
            sink.abort()
        raise
    return stats


def _expected(source: Source, limit: int | None) -> int | None:
    if source.count is None:
        return None
    return source.count if limit is None else min(source.count, limit)


def _results(
    source: Source, segmenter: Segmenter, rho: Rho | None, limit: int | None
) -> Iterator[tuple[Frame, Result]]:
    """Frames and their results, as many a pass as the engine takes."""
    frames = iter(islice(source, limit))
    while group := list(islice(frames, segmenter.engine.batch)):
        results = segmenter.batch([frame.image for frame in group], rho)
        yield from zip(group, results, strict=True)
