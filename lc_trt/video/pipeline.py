"""Segment frames from sources and write the results to sinks."""

from __future__ import annotations

from collections import deque
from collections.abc import Callable, Hashable, Iterator, Sequence
from dataclasses import dataclass, field
from time import perf_counter

import numpy as np

from lc_trt.bundle.thresholds import Rho
from lc_trt.runtime.governor.threshold_policy import ThresholdPolicy
from lc_trt.runtime.result import Result
from lc_trt.runtime.segmenter import Segmenter
from lc_trt.runtime.temporal_reuse import Reuse
from lc_trt.video.base import Frame, Source
from lc_trt.video.sinks.open import Output, abort, finish
from lc_trt.video.sources.interleave import interleave

_LATENCIES = 10_000  # frames with recorded latency; bounded, because a camera may run for months
_POLL = 0.1  # seconds between calls of ``stop`` while no frame arrives


@dataclass
class Stats:
    """Statistics of a run.

    Attributes:
        frames: frames segmented.
        seconds: wall time, including reading, drawing and writing.
        latency: milliseconds in the segmenter, for the last 10,000 frames.
        expected: frames to be expected from the sources, up to the limit; None if unknown.
        dropped: frames dropped by live sources.
        reconnects: reconnections of live sources.
        interrupted: whether ``stop()`` ended the run.
    """

    expected: int | None = None

    frames: int = 0
    seconds: float = 0.0
    latency: deque[float] = field(default_factory=lambda: deque(maxlen=_LATENCIES))
    dropped: int = 0
    reconnects: int = 0
    interrupted: bool = False
    _shares: tuple[float, float, float] | None = None
    _reuse: tuple[float, float] | None = None

    def add(self, result: Result) -> None:
        """Add a frame.

        Args:
            result: result of the frame.
        """
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
        """Frames per second over the whole run; 0 before the first frame."""
        return self.frames / self.seconds if self.seconds else 0.0

    @property
    def shares(self) -> tuple[float, float, float] | None:
        """Mean shares of the pixels that exited at stages 1, 2 and 3; None for a dense network."""
        if self._shares is None:
            return None
        a, b, c = self._shares
        return a / self.frames, b / self.frames, c / self.frames

    @property
    def reuse(self) -> tuple[float, float] | None:
        """Mean shares of the pixels that were computed by stages 2 and 3, and that were reused."""
        if self._reuse is None:
            return None
        return self._reuse[0] / self.frames, self._reuse[1] / self.frames

    def percentile(self, q: float) -> float:
        """Percentile of the latency of the last frames.

        Args:
            q: percentile, 0 to 100.

        Returns:
            Milliseconds; 0 before the first frame.
        """
        return float(np.percentile(self.latency, q)) if self.frames else 0.0


def run(
    sources: Sequence[Source],
    segmenter: Segmenter,
    outputs: Sequence[Sequence[Output]],
    *,
    rho: Rho | ThresholdPolicy | None = None,
    reuse: Reuse | None = None,
    limit: int | None = None,
    on_frame: Callable[[Stats, Source, Frame, Result], None] | None = None,
    stop: Callable[[], bool] = lambda: False,
) -> Stats:
    """Segment sources until they end, reach ``limit`` frames each, or ``stop()`` returns True.

    Frames of several sources are interleaved and share passes. Reading, inference and drawing
    overlap. Outputs are completed at the end; an error deletes all of them.

    Args:
        sources: sources of frames.
        segmenter: runs the network, with its batch size per pass.
        outputs: views and sinks per source.
        rho: thresholds or a policy, as for `Segmenter`.
        reuse: temporal reuse between the frames of each source.
        limit: maximum number of frames per source; None for all.
        on_frame: called after each frame is written.
        stop: called before each frame, and every 0.1 s while none arrives; True ends the run.

    Returns:
        Statistics of the whole run.

    Raises:
        LcTrtError: a source, the network or a sink failed.
    """
    stats = Stats(_expected(sources, limit))
    policy = segmenter.threshold_policy(rho)
    by_id = dict[Hashable, tuple[Source, Sequence[Output]]](
        enumerate(zip(sources, outputs, strict=True))
    )
    in_flight: deque[Frame] = deque()

    def frames() -> Iterator[Frame]:
        for frame in interleave(sources, limit, policy.set_sources):
            in_flight.append(frame)
            yield frame

    start = perf_counter()
    try:
        with segmenter.stream(frames(), policy, reuse=reuse) as results:
            while not stop():
                try:
                    result = results.get(_POLL)
                except TimeoutError:
                    continue
                except StopIteration:
                    break
                frame = in_flight.popleft()
                source, source_outputs = by_id[frame.source]
                for output in source_outputs:
                    output.sink.write(output.draw(result), frame)
                stats.add(result)
                stats.dropped = sum(s.dropped for s in sources)
                stats.reconnects = sum(s.reconnects for s in sources)
                stats.seconds = perf_counter() - start
                if on_frame is not None:
                    on_frame(stats, source, frame, result)
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
