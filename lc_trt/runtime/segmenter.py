"""The main entry point of the library: a loaded bundle that segments frames."""

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

IN_FLIGHT = 3  # batches of a stream: one being read, one inferred, one drawn


class Segmenter:
    """A loaded network. It may be shared between threads.

    Example:
        ```python
        with lc_trt.load("model.lct") as segmenter:
            result = segmenter(cv2.imread("street.png"))
            cv2.imwrite("overlay.png", result.overlay())
        ```

    Attributes:
        manifest: metadata of the bundle: classes, size, thresholds.
        engine: the engine that runs the network.
        fit: how frames are fitted to the engine's size.
        front: Pareto front for `govern`; None if the bundle was not tuned.
    """

    def __init__(
        self,
        engine: Engine,
        manifest: Manifest,
        *,
        fit: Fit | str = Fit.STRETCH,
        front: Front | None = None,
    ) -> None:
        """Create a segmenter; `lc_trt.load` does so from a bundle.

        Args:
            engine: runs the network.
            manifest: metadata of the bundle.
            fit: how frames are fitted to the engine's size, ``stretch`` or ``letterbox``.
            front: Pareto front for `govern`.

        Raises:
            LcTrtError: engine and manifest contradict each other.
            UsageError: unknown ``fit``.
        """
        for name in ("kind", "size", "batch"):
            actual, expected = getattr(engine, name), getattr(manifest, name)
            if actual != expected:
                raise LcTrtError(
                    f"the manifest has {name} {expected}, the model has {actual}; "
                    "build the bundle again: lc-trt build MODEL.onnx"
                )
        resize.window(engine.size, engine.size, fit)  # raises if fit is unknown
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
            rho: thresholds: None for the bundle's default, ``"fast"`` for its fast thresholds,
                one number from 0 to 1 for both boundaries, or one per boundary. A pixel exits at
                a boundary if its confidence exceeds the threshold, so 1 sends all pixels through
                all stages. A policy (see `govern`) chooses them for each pass.
            reuse: state of the video; the frame is its next one.

        Raises:
            UsageError: an invalid frame or threshold, or ``reuse`` with a bundle that was built
                without it.
            LcTrtError: the network's confidences are not probabilities.
        """
        return self.batch([frame], rho, reuse=reuse)[0]

    def batch(
        self,
        frames: Iterable[FrameLike],
        rho: Rho | ThresholdPolicy | None = None,
        *,
        reuse: Reuse | None = None,
    ) -> list[Result]:
        """Segment several frames, with the engine's batch size per pass.

        Args:
            frames: uint8 [H, W, 3] each, BGR; sizes may differ. An incomplete last batch is
                padded with its last frame.
            rho: thresholds or a policy, as in a call.
            reuse: temporal reuse, as for `stream`.

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
        """Segment frames as they arrive: reading, inference and drawing overlap.

        Example:
            ```python
            with segmenter.stream(frames) as results:
                for result in results:
                    cv2.imshow("street", result.overlay())
            ```

        Args:
            frames: as for `batch`; iterated in a thread of the stream, at most
                ``batch * in_flight`` frames ahead of the consumer. Do not modify a frame before
                its result has been used. For several videos, pass `lc_trt.SourceFrame`, which
                identifies the video of each frame.
            rho: thresholds, as in a call; a policy may change them with every pass.
            batch: frames per pass, from 1 to the engine's batch size, which is the default. A
                pass starts when the batch is complete or the frames end.
            in_flight: maximum number of batches in flight, from reading to drawing.
            reuse: temporal reuse between the frames of each video; one object per stream.

        Returns:
            Results in the order of the frames. An exception in ``frames`` or the engine is raised
            when the next result is requested.

        Raises:
            UsageError: thresholds, ``batch`` or ``in_flight`` out of range, or ``reuse`` with a
                bundle that was built without it.
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
        """Create a policy that holds a frame rate at the best quality, the ``rho`` of one stream.

        Before each pass, it chooses thresholds on the Pareto front stored by ``lc-trt tune``,
        between the fast setting and a quality bound (docs/governor.md).

        Example:
            ```python
            with segmenter.stream(frames, segmenter.govern(fps=25)) as results:
                for result in results:
                    cv2.imshow("street", result.overlay())
            ```

        Args:
            fps: target frames per second per source.
            quality: upper bound of the thresholds; by default the highest thresholds that were
                tuned, the bundle's default.
            tell: called with a message when the rate can no longer be held, once per episode; by
                default, a warning of the logger ``lc_trt``.

        Raises:
            UsageError: an invalid rate or bound, or the network is dense.
            LcTrtError: the bundle was not tuned.
        """
        bound = resolve_rho(quality, self.manifest.default_rho, self.manifest.fast_rho)
        if bound is None:
            raise UsageError("the network is dense and has no thresholds to adapt")
        if self.front is None:
            raise LcTrtError(f"the bundle has no Pareto front of thresholds; {TUNE}")
        curve = find_operating_curve(self.front, None if quality is None else bound)
        return Governor(curve, fps, tell=tell)

    def threshold_policy(self, rho: Rho | ThresholdPolicy | None = None) -> ThresholdPolicy:
        """The policy for ``rho``: a policy itself, or fixed thresholds.

        Args:
            rho: thresholds or a policy, as in a call.

        Raises:
            UsageError: invalid thresholds, or thresholds for a dense network.
        """
        if isinstance(rho, ThresholdPolicy):
            return rho
        return FixedThresholds(resolve_rho(rho, self.manifest.default_rho, self.manifest.fast_rho))

    def run_device(
        self, images: Any, rho: Rho | None = None, *, stream: Any = None
    ) -> DeviceOutput:
        """Segment images on the GPU; the results stay in device memory.

        Images are not resized; they must have the engine's size.

        Args:
            images: uint8 [N, H, W, 3], BGR: a pycuda, cupy, torch or NumPy array.
            rho: thresholds, as in a call.
            stream: CUDA stream; see `TensorRTEngine.run_device`, also for the lifetime of the
                results.

        Raises:
            UsageError: invalid thresholds, or the bundle was not built for a GPU.
        """
        run = getattr(self.engine, "run_device", None)
        if run is None:
            raise UsageError(
                f"the bundle was built for {self.engine.backend}, which does not run on a GPU; "
                "build for one: lc-trt build MODEL.onnx --backend tensorrt"
            )
        fixed = self.threshold_policy(rho)
        output: DeviceOutput = run(images, thresholds_array(fixed.rho), stream=stream)
        return output

    def close(self) -> None:
        """Release the engine."""
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
