"""Engines as lanes of interleaved timing, and the time per stage."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
import numpy.typing as npt

from lc_trt.bench.operating_points import Rho
from lc_trt.data.metrics import Shares, stage_shares
from lc_trt.runtime.engines.base import Engine, EngineOutput
from lc_trt.utils.timing import Lane


class EngineLane(Lane[EngineOutput]):
    """An engine that runs frame after frame, each at its thresholds.

    Each timed pass follows an untimed one on the frame before, as in a video.

    Attributes:
        engine: the engine.
        rho: float32 [2] per frame; None for a dense network.
        shares: of the pixels that left at each stage, in each pass that counted; empty for a dense
            network.
    """

    def __init__(
        self,
        name: str,
        engine: Engine,
        frames: Sequence[npt.NDArray[np.uint8]],
        rho: Sequence[Rho] | None = None,
    ) -> None:
        """Time an engine.

        Args:
            name: what tables call it.
            engine: what runs.
            frames: uint8 [N, H, W, 3] each; they are run round and round.
            rho: thresholds, float32 [2] per frame; None for a dense network.
        """
        super().__init__(name, self._pass, lambda number: self._pass(number - 1), self._collect)
        self.engine, self.rho = engine, rho
        self.shares: list[Shares] = []
        self._frames = frames

    def _pass(self, number: int) -> EngineOutput:
        i = number % len(self._frames)
        return self.engine.run(self._frames[i], None if self.rho is None else self.rho[i])

    def _collect(self, output: EngineOutput) -> None:
        if output.stages is not None:
            self.shares.append(stage_shares(output.stages))


def stage_times(
    first: Sequence[float], second: Sequence[float], full: Sequence[float]
) -> tuple[float, float, float]:
    """Milliseconds in each stage; they sum to the median of ``full``.

    Differences of the medians of three runs.

    Args:
        first: times of a run in which every pixel leaves at stage 1; what comes before and after
            the network is in it.
        second: of one in which the rest leaves at stage 2.
        full: of the full one.
    """
    one, two, three = (float(np.median(t)) for t in (first, second, full))
    return one, two - one, three - two
