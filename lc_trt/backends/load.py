"""From a bundle, or an ONNX, to something that runs."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING

from lc_trt.backends.base import Compiled
from lc_trt.backends.registry import get_backend
from lc_trt.bundle.bundle import Bundle, read_bundle
from lc_trt.bundle.pareto_front import read_front
from lc_trt.compiler.options import Size
from lc_trt.compiler.precision import Precision
from lc_trt.runtime.engines.base import Engine
from lc_trt.runtime.resize import Fit
from lc_trt.runtime.segmenter import Segmenter

if TYPE_CHECKING:
    import onnx

REFERENCE = "onnxruntime"  # runs an exchange model by the bodies of its functions


def load(
    path: str | Path,
    *,
    device: str | int | None = None,
    threads: int | None = None,
    fit: Fit | str = Fit.STRETCH,
) -> Segmenter:
    """Load a bundle.

    Args:
        path: the folder that ``lc-trt build`` made.
        device: ``"cuda:N"`` or N for a bundle of TensorRT, by default the GPU of the current
            CUDA context, GPU 0 where there is none; ``"cpu"`` for others.
        threads: CPU threads of the CPU's engines, all by default.
        fit: ``"stretch"`` brings a frame to the engine's size in both directions,
            ``"letterbox"`` keeps its shape and puts grey around it.

    Raises:
        LcTrtError: no bundle, not whole, its backend is not installed, or it was built for
            another GPU or version; the message names the command that mends it.
        UsageError: no such device or fit.
    """
    bundle = read_bundle(path)
    front = read_front(bundle)
    engine = open_bundle(bundle, threads=threads, device=device)
    return Segmenter(engine, bundle.manifest, fit=fit, front=front)


def open_bundle(
    bundle: Bundle, *, threads: int | None = None, device: str | int | None = None
) -> Engine:
    """The engine of a bundle.

    Args:
        bundle: as `read_bundle` checked it.
        threads: as for `load`.
        device: as for `load`.

    Raises:
        LcTrtError, UsageError: see `lc_trt.backends.base.Backend.open`.
    """
    backend = get_backend(bundle.manifest.backend)
    bundle.file(backend.engine_file)  # names the bundle where it lacks the file
    return backend.open(Compiled.from_bundle(bundle), threads=threads, device=device)


def open_onnx(
    backend: str,
    model: bytes | Path,
    *,
    precision: str = Precision.FP32,
    threads: int | None = None,
    device: str | int | None = None,
) -> Engine:
    """The engine of an ONNX that was compiled for a backend.

    Args:
        backend: name of a backend that runs ONNX.
        model: the file, or its content.
        precision: name of the `Precision` that the ONNX was compiled for.
        threads: CPU threads; None for all.
        device: as for `lc_trt.backends.base.Backend.open`.

    Raises:
        LcTrtError, UsageError: see `lc_trt.backends.base.Backend.open`.
    """
    runner = get_backend(backend)
    compiled = Compiled(backend, "", Precision.parse(precision), {runner.engine_file: model})
    return runner.open(compiled, threads=threads, device=device)


def open_reference(
    model: onnx.ModelProto, size: Size, batch: int = 1, *, threads: int | None = None
) -> Engine:
    """ONNX Runtime running an exchange model's own function bodies in FP32; compiles nothing.

    Args:
        model: an exchange model, cascade or dense.
        size: (height, width) in pixels.
        batch: images per pass.
        threads: CPU threads; None for all.
    """
    from lc_trt.compiler.pass_manager import run_passes
    from lc_trt.compiler.passes.freeze import Freeze

    content = run_passes(model, [Freeze(batch, size)]).SerializeToString()
    return open_onnx(REFERENCE, content, threads=threads)
