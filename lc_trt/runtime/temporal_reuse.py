"""Temporal reuse: unchanged pixels of a video reuse the results of earlier frames."""

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
    """State of one source, arrays [1, ...], and the number of frames since its last refresh."""

    state: State
    frames: int = 0


class Reuse:
    """Lets unchanged pixels of a video reuse the results of earlier frames.

    It holds the state of each source, so use one object per stream. It requires a bundle built
    with ``lc-trt build MODEL.onnx --reuse``.

    Example:
        ```python
        with segmenter.stream(frames, reuse=lc_trt.Reuse(tolerance=0.2)) as results:
            for result in results:
                print(result.computed, result.reused)
        ```

    Attributes:
        tolerance: largest distance between the features around a pixel and those of its stored
            result, relative to their norm (see
            `lc_trt.compiler.passes.temporal_reuse.TemporalReuse` for the formula); 0 reuses
            results for identical features only.
        every: refresh interval: frames of a source after which all of its pixels are computed.
        cut: share (0 to 1) of changed hard pixels above which all of them are computed, as after
            a scene cut or with a moving camera; 1 disables this.
    """

    def __init__(
        self, tolerance: float = TOLERANCE, *, every: int = EVERY, cut: float = CUT
    ) -> None:
        """Create an empty state.

        Args:
            tolerance: relative distance of features, 0 or more.
            every: refresh interval in frames, at least 1.
            cut: share of changed hard pixels, 0 to 1.

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
        """Clear the state: the next frame of each source is computed in full."""
        with self._lock:
            self._histories.clear()

    @property
    def limits(self) -> npt.NDArray[np.float32]:
        """``tolerance`` and ``cut`` as input of an engine, float32 [2]."""
        return np.array([self.tolerance, self.cut], np.float32)

    def load(self, engine: object, sources: Sequence[Hashable], initial: State) -> State:
        """The state at the start of a pass.

        Args:
            engine: the engine; the states of another one are cleared.
            sources: the source of each image. Images of one source start from the same state.
            initial: state before the first frame of a source, arrays [1, ...].

        Returns:
            Arrays [N, ...] for N sources.
        """
        with self._lock:
            if self._engine is None or self._engine() is not engine:
                self._engine = weakref.ref(engine)
                self._histories.clear()
            return State.join([self._load_one(source, initial) for source in sources])

    def store(self, engine: object, sources: Sequence[Hashable], present: State) -> None:
        """Store the state after a pass; the last image of each source determines it.

        Args:
            engine: the engine; ignored unless it was the last one in `load`.
            sources: the source of each image.
            present: state after the pass, arrays [N, ...], N at least the number of sources.
        """
        with self._lock:
            if self._engine is None or self._engine() is not engine:
                return
            for number, source in enumerate(sources):
                history = self._histories.get(source)
                if history is not None:  # None after a `reset` during the pass
                    history.state = present.of(number)
                    history.frames += 1

    def _load_one(self, source: Hashable, initial: State) -> State:
        history = self._histories.setdefault(source, _History(initial))
        if history.frames >= self.every:
            # Nothing of a state without stages is reused.
            history.state, history.frames = history.state.forgotten(), 0
        return history.state


def check_reuse(engine: Engine) -> None:
    """Check that an engine was built for temporal reuse.

    Args:
        engine: engine to run with a `Reuse`.

    Raises:
        UsageError: it was not; names the command that builds one.
    """
    if engine.state is not None:
        return
    if engine.kind == "dense":
        raise UsageError("reuse: the bundle is a dense network, which computes all pixels")
    raise UsageError(
        "reuse: the bundle was built without it; build it again: lc-trt build MODEL.onnx --reuse"
    )
