"""The library's front door: load a bundle, give it frames."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from pathlib import Path
from time import perf_counter
from typing import TYPE_CHECKING, Any

import numpy as np
import numpy.typing as npt

from lc_trt.bundle import read_bundle
from lc_trt.errors import LcTrtError, UsageError
from lc_trt.manifest import Manifest
from lc_trt.runtime import image
from lc_trt.runtime.engines import Engine, open_engine
from lc_trt.runtime.result import Result
from lc_trt.thresholds import Rho, resolve_rho

if TYPE_CHECKING:  # needs cuda-python
    from lc_trt.runtime.engines.tensorrt import DeviceOutput


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
    """

    def __init__(self, engine: Engine, manifest: Manifest) -> None:
        for name in ("kind", "size", "batch"):
            found, expected = getattr(engine, name), getattr(manifest, name)
            if found != expected:
                raise LcTrtError(
                    f"the manifest says {name} {expected}, the model has {found}; "
                    "build the bundle again: lc-trt build MODEL.onnx"
                )
        self.engine = engine
        self.manifest = manifest

    def __call__(self, frame: npt.NDArray[np.uint8], rho: Rho | None = None) -> Result:
        """Segment one frame.

        Args:
            frame: uint8 [H, W, 3] of any size, BGR as OpenCV reads it.
            rho: thresholds: None for the bundle's own, ``"fast"`` for its fast ones, a
                number from 0 to 1 for both boundaries, or one for each. A pixel leaves
                where its confidence is greater, so 1 sends all of them through all stages.

        Raises:
            UsageError: another kind of array, or a rho that is no threshold.
        """
        return self.batch([frame], rho)[0]

    def batch(
        self, frames: Iterable[npt.NDArray[np.uint8]], rho: Rho | None = None
    ) -> list[Result]:
        """Segment several frames, as many a pass as the engine was built for.

        Frames may differ in size. A last group that is smaller than the engine takes is
        filled up with its last frame, whose extra results are dropped.
        """
        thresholds = resolve_rho(rho, self.manifest.default_rho, self.manifest.fast_rho)
        checked = [image.check_frame(frame) for frame in frames]
        results: list[Result] = []
        for start in range(0, len(checked), self.engine.batch):
            results += self._run(checked[start : start + self.engine.batch], thresholds)
        return results

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
        thresholds = resolve_rho(rho, self.manifest.default_rho, self.manifest.fast_rho)
        output: DeviceOutput = run(images, _array(thresholds), stream=stream)
        return output

    def close(self) -> None:
        """Free the engine."""
        self.engine.close()

    def __enter__(self) -> Segmenter:
        return self

    def __exit__(self, *_: object) -> None:
        self.close()

    def _run(
        self, frames: Sequence[npt.NDArray[np.uint8]], rho: tuple[float, float] | None
    ) -> list[Result]:
        start = perf_counter()
        size = self.engine.size
        images = [image.to_size(frame, size) for frame in frames]
        images += [images[-1]] * (self.engine.smallest[0] - len(images))
        stacked = np.stack(images) if len(images) > 1 else images[0][None]
        prepared = perf_counter()
        out = self.engine.run(stacked, _array(rho))
        done = perf_counter()
        results = []
        for i, frame in enumerate(frames):
            begin = perf_counter()
            height, width = frame.shape[:2]
            labels = image.labels_to_size(out.labels[i], (height, width))
            cells = None if out.stages is None else out.stages[i]
            shares = None if cells is None else _shares(cells)
            timing = {
                "prepare": (prepared - start) * 1e3 / len(frames),
                "engine": (done - prepared) * 1e3 / len(frames),
                "finish": (perf_counter() - begin) * 1e3,
            }
            timing["total"] = sum(timing.values())
            results.append(
                Result(
                    labels=labels,
                    shares=shares,
                    rho=rho,
                    timing=timing,
                    classes=self.manifest.classes,
                    colours=self.manifest.colours,
                    frame=frame,
                    engine_size=size,
                    cell_stages=cells,
                    cell_confidence=out.confidence[i],
                )
            )
        return results


def load(path: str | Path, *, device: str | None = None, threads: int | None = None) -> Segmenter:
    """Load a bundle.

    Args:
        path: the folder that ``lc-trt build`` made.
        device: ``"cuda:N"`` for a bundle of TensorRT, by default the GPU of the current CUDA
            context, GPU 0 where there is none; ``"cpu"`` for others.
        threads: CPU threads of the CPU's engines, all by default.

    Raises:
        LcTrtError: no bundle, not whole, its backend is not installed, or it was built for
            another GPU or version; the message names the command that mends it.
        UsageError: no such device.
    """
    bundle = read_bundle(path)
    return Segmenter(open_engine(bundle, threads=threads, device=device), bundle.manifest)


def _array(rho: tuple[float, float] | None) -> npt.NDArray[np.float32] | None:
    return None if rho is None else np.array(rho, np.float32)


def _shares(stages: npt.NDArray[Any]) -> tuple[float, float, float]:
    first, second, third = np.bincount(stages.ravel(), minlength=4)[1:4] / stages.size
    return float(first), float(second), float(third)
