"""Engines as lanes of an interleaved measurement, and the time per stage."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
import numpy.typing as npt

from lc_trt.bench.operating_points import ALL_EXIT, Rho, rho_pair
from lc_trt.data.metrics import Shares, stage_shares
from lc_trt.runtime.engines.base import Engine, EngineOutput
from lc_trt.utils.timing import Lane


class EngineLane(Lane[EngineOutput]):
    """An engine that runs frame after frame, each at its own thresholds.

    Each timed pass follows an untimed one on the previous frame, as in a video.

    Attributes:
        engine: the engine.
        rho: float32 [2] per frame; None for a dense network.
        shares: exit shares per measured pass; empty for a dense network.
    """

    def __init__(
        self,
        name: str,
        engine: Engine,
        frames: Sequence[npt.NDArray[np.uint8]],
        rho: Sequence[Rho] | None = None,
    ) -> None:
        """Create a lane.

        Args:
            name: for tables.
            engine: the engine.
            frames: uint8 [N, H, W, 3] each, BGR; used in turn.
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


def cascade_lanes(
    engine: Engine, frames: Sequence[npt.NDArray[np.uint8]], rhos: dict[str, list[Rho]]
) -> tuple[list[EngineLane], list[EngineLane]]:
    """The lanes of the operating points, and the partial passes that give the time per stage.

    Args:
        engine: of the cascade.
        frames: uint8 [N, H, W, 3] each, BGR.
        rhos: float32 [2] per frame, by row.

    Returns:
        One lane per row; and stage 1 alone, then stages 1 and 2 of each row.
    """
    rows = [EngineLane(row, engine, frames, rho) for row, rho in rhos.items()]
    first = [rho_pair(ALL_EXIT, ALL_EXIT)] * len(frames)
    splits = [EngineLane("stage 1", engine, frames, first)]
    for row, rho in rhos.items():
        cut = [rho_pair(float(r[0]), ALL_EXIT) for r in rho]
        splits.append(EngineLane(f"{row}, stages 1 and 2", engine, frames, cut))
    return rows, splits


def stage_times(
    first: Sequence[float], second: Sequence[float], full: Sequence[float]
) -> tuple[float, float, float]:
    """Milliseconds per stage, as differences between the medians of three runs.

    Args:
        first: times of the run in which all pixels exit at stage 1; includes pre- and
            postprocessing.
        second: times of the run in which the remaining pixels exit at stage 2.
        full: times of the complete run.

    Returns:
        Three times, whose sum is the median of ``full``.
    """
    one, two, three = (float(np.median(t)) for t in (first, second, full))
    return one, two - one, three - two
