"""The steps of a pass: resize frames, run the engine, resize its output."""

from __future__ import annotations

from collections.abc import Hashable, Sequence
from dataclasses import dataclass

import numpy as np
import numpy.typing as npt

from lc_trt.bundle.manifest import Manifest
from lc_trt.data.metrics import stage_shares
from lc_trt.errors import LcTrtError
from lc_trt.runtime import resize
from lc_trt.runtime.engines.base import Engine, EngineOutput
from lc_trt.runtime.governor.threshold_policy import ThresholdPolicy
from lc_trt.runtime.resize import Fit
from lc_trt.runtime.result import Result
from lc_trt.runtime.source_frame import SourceFrame
from lc_trt.runtime.temporal_reuse import Reuse
from lc_trt.utils import timing


@dataclass(frozen=True)
class PreparedBatch:
    """A batch of frames, resized for the engine.

    Attributes:
        frames: original frames, uint8 [H, W, 3] each, at least one.
        sources: the source of each frame.
        images: input of the engine, uint8 [N, H, W, 3]; N may exceed the number of frames.
        milliseconds: duration of the preparation.
    """

    frames: Sequence[npt.NDArray[np.uint8]]
    sources: tuple[Hashable, ...]
    images: npt.NDArray[np.uint8]
    milliseconds: float


@dataclass(frozen=True)
class InferredBatch:
    """A batch with the engine's output.

    Attributes:
        batch: the input.
        output: the engine's output.
        rho: thresholds of boundaries 1|2 and 2|3; None for a dense network.
        milliseconds: duration of the pass.
    """

    batch: PreparedBatch
    output: EngineOutput
    rho: tuple[float, float] | None
    milliseconds: float


class InferenceSteps:
    """The steps of each pass of a call or stream. Steps of different batches may overlap."""

    def __init__(
        self,
        engine: Engine,
        manifest: Manifest,
        fit: Fit,
        policy: ThresholdPolicy,
        reuse: Reuse | None,
        *,
        overlap: bool,
    ) -> None:
        """Create the steps.

        Args:
            engine: runs the network.
            manifest: metadata of the engine's bundle.
            fit: how frames are fitted to the engine's size.
            policy: chooses the thresholds of each pass and records its duration.
            reuse: state of the sources; None disables temporal reuse.
            overlap: whether the steps of different batches overlap. If so, the policy records the
                time of the engine, else that of all steps.
        """
        self.engine, self.manifest, self.fit = engine, manifest, fit
        self.policy, self.reuse, self.overlap = policy, reuse, overlap

    def prepare(self, frames: Sequence[SourceFrame]) -> PreparedBatch:
        """Resize frames to the engine's size.

        Args:
            frames: validated frames, from one to the engine's batch size.
        """
        start = timing.clock()
        size = self.engine.size
        originals = [frame.image for frame in frames]
        images = [
            resize.place(frame, size, resize.window(_size(frame), size, self.fit))
            for frame in originals
        ]
        images += [images[-1]] * (self.engine.smallest[0] - len(images))
        stacked = np.stack(images) if len(images) > 1 else images[0][None]
        sources = tuple(frame.source for frame in frames)
        return PreparedBatch(originals, sources, stacked, (timing.clock() - start) * 1e3)

    def infer(self, batch: PreparedBatch) -> InferredBatch:
        """Run the engine.

        Args:
            batch: what `prepare` returned.

        Raises:
            LcTrtError: the network's confidences are not probabilities.
        """
        start = timing.clock()
        rho = self.policy.rho
        thresholds = thresholds_array(rho)
        if self.reuse is None or thresholds is None:
            output = self.engine.run(batch.images, thresholds)
        else:
            output = infer_reusing(self.engine, batch.images, thresholds, self.reuse, batch.sources)
        milliseconds = (timing.clock() - start) * 1e3
        self._check(output.confidence, rho)
        if self.overlap:
            self.policy.record(milliseconds / 1e3, len(batch.frames))
        return InferredBatch(batch, output, rho, milliseconds)

    def _check(self, confidence: npt.NDArray[np.float32], rho: tuple[float, float] | None) -> None:
        # A pixel exits with a score greater than rho; otherwise its confidence is the largest of K
        # probabilities, at least 1 / K. Some backends turn NaN into 0, so the check is for
        # impossible values, written so that NaN fails too. The slack allows for rounding in
        # reduced precision.
        least, most = 0.9 * min(1 / len(self.manifest.classes), *(rho or (1.0,))), 1.01
        if not (confidence.min() >= least and confidence.max() <= most):
            raise LcTrtError(
                f"{self.manifest.name}: the network's confidences are not probabilities (NaN, "
                "for example); export weights without NaN, or build with a higher precision: "
                "lc-trt build MODEL.onnx --fp32"
            )

    def finish(self, inferred: InferredBatch) -> list[Result]:
        """Resize the output to the sizes of the frames.

        Args:
            inferred: what `infer` returned.

        Returns:
            One result per frame.
        """
        batch, output = inferred.batch, inferred.output
        results = []
        for i, frame in enumerate(batch.frames):
            begin = timing.clock()
            visible = resize.window(_size(frame), self.engine.size, self.fit)
            labels = resize.labels_to_size(visible.cut(output.labels[i]), _size(frame))
            cells = None if output.stages is None else output.stages[i]
            durations = {
                "prepare": batch.milliseconds / len(batch.frames),
                "engine": inferred.milliseconds / len(batch.frames),
                "finish": (timing.clock() - begin) * 1e3,
            }
            durations["total"] = sum(durations.values())
            results.append(
                Result(
                    labels=labels,
                    shares=None if cells is None else stage_shares(cells),
                    rho=inferred.rho,
                    timing=durations,
                    classes=self.manifest.classes,
                    colours=self.manifest.colours,
                    frame=frame,
                    engine_size=self.engine.size,
                    cell_stages=cells,
                    cell_confidence=output.confidence[i],
                    cell_work=None if output.work is None else output.work[i],
                    fit=self.fit,
                )
            )
        if not self.overlap:
            milliseconds = sum(result.timing["total"] for result in results)
            self.policy.record(milliseconds / 1e3, len(results))
        return results


def infer_reusing(
    engine: Engine,
    images: npt.NDArray[np.uint8],
    rho: npt.NDArray[np.float32],
    reuse: Reuse,
    sources: tuple[Hashable, ...],
) -> EngineOutput:
    """Run an engine with temporal reuse: load the state of each source, and store the new one.

    Args:
        engine: engine built for temporal reuse.
        images: uint8 [N, H, W, 3], BGR.
        rho: thresholds of boundaries 1|2 and 2|3, float32 [2].
        reuse: state of the sources.
        sources: the source of each image, at least one. If there are fewer than N, the remaining
            images are padding: they use the state of the last source, and theirs is dropped.
    """
    padding = sources[-1:] * (len(images) - len(sources))
    past = reuse.load(engine, (*sources, *padding), engine.no_state())
    output, present = engine.run_reusing(images, rho, past, reuse.limits)
    reuse.store(engine, sources, present)
    return output


def thresholds_array(rho: tuple[float, float] | None) -> npt.NDArray[np.float32] | None:
    """Thresholds as an array for the engine, float32 [2].

    Args:
        rho: thresholds of boundaries 1|2 and 2|3; None for a dense network.
    """
    return None if rho is None else np.array(rho, np.float32)


def _size(frame: npt.NDArray[np.uint8]) -> tuple[int, int]:
    height, width = frame.shape[:2]
    return height, width
