"""The library's front door: load a bundle, give it frames."""

from __future__ import annotations

from collections.abc import Callable, Iterable
from typing import TYPE_CHECKING, Any

from lc_trt.bundle.manifest import Manifest
from lc_trt.bundle.pareto_front import TUNE, Front
from lc_trt.bundle.thresholds import Rho, resolve_rho
from lc_trt.errors import LcTrtError, UsageError
from lc_trt.runtime import resize
from lc_trt.runtime.engines.base import Engine
from lc_trt.runtime.governor.governor import Governor, log
from lc_trt.runtime.governor.operating_curve import find_operating_curve
from lc_trt.runtime.governor.threshold_policy import FixedThresholds, ThresholdPolicy
from lc_trt.runtime.inference import InferenceSteps, thresholds_array
from lc_trt.runtime.resize import Fit
from lc_trt.runtime.result import Result
from lc_trt.runtime.source_frame import FrameLike, check_frames
from lc_trt.runtime.staged_executor import Stream
from lc_trt.runtime.temporal_reuse import Reuse, check_reuse

if TYPE_CHECKING:  # needs cuda-python
    from lc_trt.runtime.engines.tensorrt.engine import DeviceOutput

IN_FLIGHT = 3  # groups of a stream: one being read, one inferred, one drawn


class Segmenter:
    """A loaded network. Threads may share one.

    Example:
        ```python
        with lc_trt.load("model.lct") as segmenter:
            result = segmenter(cv2.imread("street.png"))
            cv2.imwrite("overlay.png", result.overlay())
        ```

    Attributes:
        manifest: what the bundle says about itself: classes, size, thresholds.
        engine: the engine that runs it.
        fit: how frames of another shape than the engine's come to its size.
        front: the thresholds that `govern` moves over; None where the bundle was never tuned.
    """

    def __init__(
        self,
        engine: Engine,
        manifest: Manifest,
        *,
        fit: Fit | str = Fit.STRETCH,
        front: Front | None = None,
    ) -> None:
        for name in ("kind", "size", "batch"):
            found, expected = getattr(engine, name), getattr(manifest, name)
            if found != expected:
                raise LcTrtError(
                    f"the manifest says {name} {expected}, the model has {found}; "
                    "build the bundle again: lc-trt build MODEL.onnx"
                )
        resize.window(engine.size, engine.size, fit)  # refuses what is none
        self.engine = engine
        self.manifest = manifest
        self.fit = Fit(fit)
        self.front = front

    def __call__(
        self,
        frame: FrameLike,
        rho: Rho | ThresholdPolicy | None = None,
        *,
        reuse: Reuse | None = None,
    ) -> Result:
        """Segment one frame.

        Args:
            frame: uint8 [H, W, 3] of any size, BGR as OpenCV reads it.
            rho: thresholds: None for the bundle's own, ``"fast"`` for its fast ones, a
                number from 0 to 1 for both boundaries, or one for each. A pixel leaves
                where its confidence is greater, so 1 sends all of them through all stages. A
                policy (see `govern`) chooses them for each pass.
            reuse: state of the video that this is the next frame of.

        Raises:
            UsageError: another kind of array, a rho that is no threshold, or a bundle that was
                built without reuse.
            LcTrtError: the network computed confidences that are no probabilities.
        """
        return self.batch([frame], rho, reuse=reuse)[0]

    def batch(
        self,
        frames: Iterable[FrameLike],
        rho: Rho | ThresholdPolicy | None = None,
        *,
        reuse: Reuse | None = None,
    ) -> list[Result]:
        """Segment several frames, as many per pass as the engine was built for.

        Args:
            frames: as in a call; they may differ in size. A last batch that is smaller than the
                engine takes is filled with its last frame, whose extra results are dropped.
            rho: as in a call.
            reuse: as for `stream`.

        Returns:
            One result per frame.

        Raises:
            UsageError, LcTrtError: as in a call.
        """
        steps = self._steps(rho, reuse, overlap=False)
        checked = check_frames(frames)
        results: list[Result] = []
        for start in range(0, len(checked), self.engine.batch):
            batch = steps.prepare(checked[start : start + self.engine.batch])
            results += steps.finish(steps.infer(batch))
        return results

    def stream(
        self,
        frames: Iterable[FrameLike],
        rho: Rho | ThresholdPolicy | None = None,
        *,
        batch: int | None = None,
        in_flight: int = IN_FLIGHT,
        reuse: Reuse | None = None,
    ) -> Stream[Result]:
        """Segment frames as they come: reading, inference and drawing overlap.

        Example:
            ```python
            with segmenter.stream(frames) as results:
                for result in results:
                    cv2.imshow("street", result.overlay())
            ```

        Args:
            frames: as for `batch`; iterated in a thread of the stream, never more than
                ``batch * in_flight`` frames ahead of the result that is being used. A frame
                may not change until its result was used. Frames of several videos are
                `lc_trt.SourceFrame`, which name their video.
            rho: thresholds, as for one frame; a policy may change them with every pass.
            batch: frames per pass, 1 to what the engine was built for, which is the default.
                A pass waits until so many have come or the frames end.
            in_flight: maximum number of passes under way, from reading to drawing.
            reuse: lets unchanged pixels of each video keep their results; one per stream.

        Returns:
            Results in the order of the frames. An error of the frames or the engine is raised
            by the next result that is asked for.

        Raises:
            UsageError: thresholds, a batch or ``in_flight`` out of range, or a bundle that was
                built without reuse.
        """
        batch = self.engine.batch if batch is None else batch
        if batch > self.engine.batch:
            raise UsageError(
                f"batch {batch}: the engine was built for {self.engine.batch}; "
                f"build one: lc-trt build MODEL.onnx --batch {batch}"
            )
        steps = self._steps(rho, reuse, overlap=in_flight > 1)
        return Stream(
            frames,
            lambda group: steps.prepare(check_frames(group)),
            steps.infer,
            steps.finish,
            batch=batch,
            in_flight=in_flight,
        )

    def govern(
        self,
        fps: float,
        quality: Rho | None = None,
        *,
        tell: Callable[[str], None] = log.warning,
    ) -> Governor:
        """A policy that holds a frame rate with the least loss, as ``rho`` for one stream.

        It moves both thresholds, pass by pass, along the front that ``lc-trt tune`` stored in the
        bundle, between its fast setting and a quality bound (docs/governor.md).

        Example:
            ```python
            with segmenter.stream(frames, segmenter.govern(fps=25)) as results:
                for result in results:
                    cv2.imshow("street", result.overlay())
            ```

        Args:
            fps: frames per second to hold, of each source.
            quality: the bound, thresholds that are not exceeded; by default those up to which the
                bundle was tuned, its default thresholds.
            tell: called with a line when the rate cannot be held, once until it can again; by
                default a warning of the logger ``lc_trt``.

        Raises:
            UsageError: no such rate or bound, or the network is dense.
            LcTrtError: the bundle was never tuned.
        """
        bound = resolve_rho(quality, self.manifest.default_rho, self.manifest.fast_rho)
        if bound is None:
            raise UsageError("the network is dense and has no thresholds to hold a rate with")
        if self.front is None:
            raise LcTrtError(f"the bundle has no front of thresholds to hold a rate with; {TUNE}")
        curve = find_operating_curve(self.front, None if quality is None else bound)
        return Governor(curve, fps, tell=tell)

    def threshold_policy(self, rho: Rho | ThresholdPolicy | None = None) -> ThresholdPolicy:
        """The policy that ``rho`` stands for: a policy itself, or fixed thresholds.

        Args:
            rho: as in a call.

        Raises:
            UsageError: a rho that is no threshold, or given for a dense network.
        """
        if isinstance(rho, ThresholdPolicy):
            return rho
        own = self.manifest
        return FixedThresholds(resolve_rho(rho, own.default_rho, own.fast_rho))

    def run_device(
        self, images: Any, rho: Rho | None = None, *, stream: Any = None
    ) -> DeviceOutput:
        """Segment images on the GPU, and leave the results there.

        Nothing is resized: the images have the engine's size.

        Args:
            images: uint8 [N, H, W, 3], BGR: an array of pycuda, cupy, torch or NumPy.
            rho: as in a call.
            stream: the CUDA stream to run on; see `TensorRTEngine.run_device`, which also says
                how long the results hold.

        Raises:
            UsageError: the bundle was not built for a GPU.
        """
        run = getattr(self.engine, "run_device", None)
        if run is None:
            raise UsageError(
                f"the bundle was built for {self.engine.backend}, which has no results on a GPU; "
                "build it for one: lc-trt build MODEL.onnx --backend tensorrt"
            )
        fixed = self.threshold_policy(rho)
        output: DeviceOutput = run(images, thresholds_array(fixed.rho), stream=stream)
        return output

    def close(self) -> None:
        """Free the engine."""
        self.engine.close()

    def __enter__(self) -> Segmenter:
        return self

    def __exit__(self, *_: object) -> None:
        self.close()

    def _steps(
        self, rho: Rho | ThresholdPolicy | None, reuse: Reuse | None, *, overlap: bool
    ) -> InferenceSteps:
        policy = self.threshold_policy(rho)
        if reuse is not None:
            check_reuse(self.engine)
        return InferenceSteps(self.engine, self.manifest, self.fit, policy, reuse, overlap=overlap)
