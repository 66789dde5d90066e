"""The three steps of a pass: frames to the engine's size, the engine, results at their size."""

from __future__ import annotations

from collections.abc import Hashable, Sequence
from dataclasses import dataclass
from time import perf_counter

import numpy as np
import numpy.typing as npt

from lc_trt.bundle.manifest import Manifest
from lc_trt.data.metrics import stage_shares
from lc_trt.errors import LcTrtError, UsageError
from lc_trt.runtime import resize
from lc_trt.runtime.engines.base import Engine, EngineOutput
from lc_trt.runtime.governor.governor import Governor
from lc_trt.runtime.resize import Fit
from lc_trt.runtime.result import Result
from lc_trt.runtime.temporal_reuse import Reuse


@dataclass(frozen=True)
class Prepared:
    """A group of frames and what the engine takes for them, uint8 [batch, H, W, 3]."""

    frames: Sequence[npt.NDArray[np.uint8]]
    images: npt.NDArray[np.uint8]
    sources: Sequence[Hashable]
    milliseconds: float


@dataclass(frozen=True)
class Inferred:
    """A group after its pass."""

    group: Prepared
    out: EngineOutput
    rho: tuple[float, float] | None
    milliseconds: float


class Passes:
    """What `lc_trt.Segmenter` does with a group of frames, a step at a time.

    A stream runs the steps of different groups in different threads.
    """

    def __init__(self, engine: Engine, manifest: Manifest, fit: Fit) -> None:
        self.engine, self.manifest, self.fit = engine, manifest, fit

    def prepare(
        self, frames: Sequence[npt.NDArray[np.uint8]], sources: Sequence[Hashable] | None = None
    ) -> Prepared:
        """Frames, at least one and at most as many as a pass takes, as one array."""
        start = perf_counter()
        whose = (None,) * len(frames) if sources is None else sources
        if len(whose) != len(frames):
            raise UsageError("sources ended before the frames: expected one for each frame")
        size = self.engine.size
        images = [
            resize.place(frame, size, resize.window(_size(frame), size, self.fit))
            for frame in frames
        ]
        images += [images[-1]] * (self.engine.smallest[0] - len(images))
        stacked = np.stack(images) if len(images) > 1 else images[0][None]
        return Prepared(frames, stacked, whose, (perf_counter() - start) * 1e3)

    def infer(
        self,
        group: Prepared,
        rho: Governor | tuple[float, float] | None,
        reuse: Reuse | None,
    ) -> Inferred:
        """Run the engine; a governor says at which thresholds.

        Raises:
            LcTrtError: the network computed something that is no probability.
        """
        start = perf_counter()
        if isinstance(rho, Governor):
            rho = rho.rho
        thresholds = thresholds_array(rho)
        if reuse is None or thresholds is None:
            out = self.engine.run(group.images, thresholds)
        else:
            out = reuse.run(self.engine, group.images, thresholds, group.sources)
        took = (perf_counter() - start) * 1e3
        self._check(out.confidence)
        return Inferred(group, out, rho, took)

    def _check(self, confidence: npt.NDArray[np.float32]) -> None:
        # The largest of K probabilities is 1 / K at least. A backend may hide NaN in it and give
        # 0 instead, so this looks for what cannot be, and is written so that NaN fails. The
        # slack is for rounding in reduced precision.
        least, most = 0.9 / len(self.manifest.classes), 1.01
        if not (confidence.min() >= least and confidence.max() <= most):
            raise LcTrtError(
                f"{self.manifest.name}: the network computed confidences that are no "
                "probabilities (NaN, for one), so its weights or its size of numbers are at "
                "fault: export weights without NaN, or build with a higher precision"
            )

    def finish(self, passed: Inferred) -> list[Result]:
        """A result for each frame."""
        group, out = passed.group, passed.out
        results = []
        for i, frame in enumerate(group.frames):
            begin = perf_counter()
            part = resize.window(_size(frame), self.engine.size, self.fit)
            labels = resize.labels_to_size(part.cut(out.labels[i]), _size(frame))
            cells = None if out.stages is None else out.stages[i]
            timing = {
                "prepare": group.milliseconds / len(group.frames),
                "engine": passed.milliseconds / len(group.frames),
                "finish": (perf_counter() - begin) * 1e3,
            }
            timing["total"] = sum(timing.values())
            results.append(
                Result(
                    labels=labels,
                    shares=None if cells is None else stage_shares(cells),
                    rho=passed.rho,
                    timing=timing,
                    classes=self.manifest.classes,
                    colours=self.manifest.colours,
                    frame=frame,
                    engine_size=self.engine.size,
                    cell_stages=cells,
                    cell_confidence=out.confidence[i],
                    cell_work=None if out.work is None else out.work[i],
                    fit=self.fit,
                )
            )
        return results


def thresholds_array(rho: tuple[float, float] | None) -> npt.NDArray[np.float32] | None:
    """Thresholds as an engine takes them."""
    return None if rho is None else np.array(rho, np.float32)


def _size(frame: npt.NDArray[np.uint8]) -> tuple[int, int]:
    height, width = frame.shape[:2]
    return height, width
