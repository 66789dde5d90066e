"""Temporal reuse: what is kept of a video's frames, so that what stands still is computed once."""

from __future__ import annotations

import threading
import weakref
from collections.abc import Hashable, Sequence
from dataclasses import dataclass

import numpy as np
import numpy.typing as npt

from lc_trt.errors import UsageError
from lc_trt.ir.interface import CUT, EVERY, TOLERANCE
from lc_trt.runtime.engines.base import Engine, EngineOutput, State


@dataclass
class _Kept:
    """Of one source: its state, each array [1, ...], and frames since all of it was computed."""

    state: State
    frames: int = 0


class Reuse:
    """Pixels that have not moved keep the results of earlier frames.

    It holds the state of the videos that it was used with, so each stream needs its own. The
    bundle has to be built for it: ``lc-trt build MODEL.onnx --reuse``.

    Example:
        ```python
        with segmenter.stream(frames, reuse=lc_trt.Reuse(tolerance=0.2)) as results:
            for result in results:
                print(result.computed, result.reused)
        ```

    Attributes:
        tolerance: how far the features around a pixel may be from those that results were
            computed from, as a part of their length (for the formula see
            `lc_trt.compiler.passes.temporal_reuse.TemporalReuse`); 0 reuses what is exactly
            the same.
        every: after so many frames everything is computed.
        cut: where more than this part (0 to 1) of the hard pixels has moved, everything is
            computed, too: a scene cut, or a camera that moves. 1 never does.
    """

    def __init__(
        self, tolerance: float = TOLERANCE, *, every: int = EVERY, cut: float = CUT
    ) -> None:
        # Written so that NaN fails.
        if not tolerance >= 0:
            raise UsageError(f"reuse tolerance {tolerance}: expected 0 or more")
        if every < 1:
            raise UsageError(f"reuse every {every}: expected at least 1 frame")
        if not 0 <= cut <= 1:
            raise UsageError(f"reuse cut {cut}: expected 0 to 1")
        self.tolerance, self.every, self.cut = tolerance, every, cut
        self._lock = threading.Lock()
        self._engine: weakref.ref[Engine] | None = None
        self._kept: dict[Hashable, _Kept] = {}

    def reset(self) -> None:
        """Forget everything: the next frame of each source is computed whole."""
        with self._lock:
            self._kept.clear()

    def run(
        self,
        engine: Engine,
        images: npt.NDArray[np.uint8],
        rho: npt.NDArray[np.float32],
        sources: Sequence[Hashable],
    ) -> EngineOutput:
        """One pass of an engine that was built for it.

        Args:
            images: uint8 [N, H, W, 3], as the engine takes them.
            rho: float32 [2].
            sources: which video each image is of, at least one. Images beyond their number
                count to the last. Those of one source start from the same state, in a pass, and
                the last of them leaves its own.
        """
        check(engine)
        limits = np.array([self.tolerance, self.cut], np.float32)
        given = list(sources)
        given += given[-1:] * (len(images) - len(given))
        with self._lock:
            if self._engine is None or self._engine() is not engine:
                self._engine = weakref.ref(engine)
                self._kept.clear()
            past = [self._before(source, engine) for source in given]
            out, present = engine.run_reusing(images, rho, State.join(past), limits)
            for source in set(sources):
                self._kept[source].frames += list(sources).count(source)
            for number, source in enumerate(sources):
                self._kept[source].state = present.of(number)
        return out

    def _before(self, source: Hashable, engine: Engine) -> State:
        kept = self._kept.get(source)
        if kept is None:
            kept = self._kept[source] = _Kept(engine.no_state())
        elif kept.frames >= self.every:
            # Without a stage nothing of it is used.
            kept.state = kept.state.forgotten()
            kept.frames = 0
        return kept.state


def check(engine: Engine) -> None:
    """Refuse an engine that was built without reuse."""
    if engine.state is not None:
        return
    if engine.kind == "dense":
        raise UsageError("reuse: the bundle is a dense network, which computes all pixels")
    raise UsageError(
        "reuse: the bundle was built without it; build it again: lc-trt build MODEL.onnx --reuse"
    )
