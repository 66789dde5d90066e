"""Temporal reuse: results of earlier frames that unchanged pixels of a video keep."""

from __future__ import annotations

import threading
import weakref
from collections.abc import Hashable, Sequence
from dataclasses import dataclass

import numpy as np
import numpy.typing as npt

from lc_trt.errors import UsageError
from lc_trt.ir.interface import CUT, EVERY, TOLERANCE
from lc_trt.runtime.engines.base import Engine, State


@dataclass
class _History:
    """One source: its state, arrays [1, ...], and the frames since all of it was computed."""

    state: State
    frames: int = 0


class Reuse:
    """Lets unchanged pixels of a video keep the results of earlier frames.

    It holds the state of each source, so each stream needs its own. The bundle has to be built
    for it: ``lc-trt build MODEL.onnx --reuse``.

    Example:
        ```python
        with segmenter.stream(frames, reuse=lc_trt.Reuse(tolerance=0.2)) as results:
            for result in results:
                print(result.computed, result.reused)
        ```

    Attributes:
        tolerance: how far the features around a pixel may be from those that its result was
            computed from, relative to their length (for the formula see
            `lc_trt.compiler.passes.temporal_reuse.TemporalReuse`); 0 reuses only identical ones.
        every: refresh interval: after so many frames of a source all of its pixels are computed.
        cut: share (0 to 1) of changed hard pixels above which all of them are computed: a scene
            cut, or a moving camera. 1 never does.
    """

    def __init__(
        self, tolerance: float = TOLERANCE, *, every: int = EVERY, cut: float = CUT
    ) -> None:
        """Create an empty state.

        Args:
            tolerance: as the attribute, 0 or more.
            every: as the attribute, in frames.
            cut: as the attribute.

        Raises:
            UsageError: a value out of range.
        """
        # Written so that NaN fails.
        if not tolerance >= 0:
            raise UsageError(f"reuse tolerance {tolerance}: expected 0 or more")
        if every < 1:
            raise UsageError(f"reuse every {every}: expected at least 1 frame")
        if not 0 <= cut <= 1:
            raise UsageError(f"reuse cut {cut}: expected 0 to 1")
        self.tolerance, self.every, self.cut = tolerance, every, cut
        self._lock = threading.Lock()
        self._engine: weakref.ref[object] | None = None
        self._histories: dict[Hashable, _History] = {}

    def reset(self) -> None:
        """Forget everything: the next frame of each source is computed entirely."""
        with self._lock:
            self._histories.clear()

    @property
    def limits(self) -> npt.NDArray[np.float32]:
        """``tolerance`` and ``cut`` as an engine takes them, float32 [2]."""
        return np.array([self.tolerance, self.cut], np.float32)

    def load(self, engine: object, sources: Sequence[Hashable], initial: State) -> State:
        """The state from which a pass starts.

        Args:
            engine: identifies the engine; the states of another one are forgotten.
            sources: which video each image of the pass belongs to. Those of one video start from
                the same state.
            initial: the state before the first frame of a video, arrays [1, ...].

        Returns:
            Arrays [N, ...] for N sources.
        """
        with self._lock:
            if self._engine is None or self._engine() is not engine:
                self._engine = weakref.ref(engine)
                self._histories.clear()
            return State.join([self._before(source, initial) for source in sources])

    def store(self, engine: object, sources: Sequence[Hashable], present: State) -> None:
        """Keep the state after a pass; the last image of each video leaves its own.

        Args:
            engine: as for `load`; the state of an engine that is no longer used is dropped.
            sources: which video each image belongs to.
            present: arrays [N, ...], N at least the number of sources.
        """
        with self._lock:
            if self._engine is None or self._engine() is not engine:
                return
            for number, source in enumerate(sources):
                history = self._histories.get(source)
                if history is not None:  # None after a `reset` during the pass
                    history.state = present.of(number)
                    history.frames += 1

    def _before(self, source: Hashable, initial: State) -> State:
        history = self._histories.setdefault(source, _History(initial))
        if history.frames >= self.every:
            # Without a stage nothing of it is used.
            history.state, history.frames = history.state.forgotten(), 0
        return history.state


def check_reuse(engine: Engine) -> None:
    """Refuse an engine that was built without temporal reuse.

    Args:
        engine: what is to run with a `Reuse`.

    Raises:
        UsageError: it keeps no state between frames; names the command that builds one that does.
    """
    if engine.state is not None:
        return
    if engine.kind == "dense":
        raise UsageError("reuse: the bundle is a dense network, which computes all pixels")
    raise UsageError(
        "reuse: the bundle was built without it; build it again: lc-trt build MODEL.onnx --reuse"
    )
