"""Opens bundles and ONNX models as segmenters and engines."""

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

REFERENCE = "onnxruntime"  # runs an exchange model by its function bodies


def load(
    path: str | Path,
    *,
    device: str | int | None = None,
    threads: int | None = None,
    fit: Fit | str = Fit.STRETCH,
) -> Segmenter:
    """Load a bundle.

    Args:
        path: folder written by ``lc-trt build``.
        device: ``"cuda:N"`` or N for a bundle of TensorRT, ``"cpu"`` for other ones. None is the
            CPU or the GPU of the current CUDA context, GPU 0 without a context.
        threads: threads of an engine on the CPU; None for all.
        fit: ``"stretch"`` resizes frames to the engine's size regardless of their aspect ratio,
            ``"letterbox"`` preserves it and pads with grey.

    Raises:
        LcTrtError: the folder is not a complete bundle, its backend is not installed, or it was
            built for another GPU or version; the message names the command that fixes it.
        UsageError: no such device or fit.
    """
    bundle = read_bundle(path)
    front = read_front(bundle)
    engine = open_bundle(bundle, threads=threads, device=device)
    return Segmenter(engine, bundle.manifest, fit=fit, front=front)


def open_bundle(
    bundle: Bundle, *, threads: int | None = None, device: str | int | None = None
) -> Engine:
    """Open the engine of a bundle.

    Args:
        bundle: as read by `read_bundle`.
        threads: as of `load`.
        device: likewise.

    Raises:
        LcTrtError: as of `lc_trt.backends.base.Backend.open`.
        UsageError: likewise.
    """
    backend = get_backend(bundle.manifest.backend)
    bundle.file(backend.engine_file)  # fails with the bundle's name if the file is missing
    return backend.open(Compiled.from_bundle(bundle), threads=threads, device=device)


def open_onnx(
    backend: str,
    model: bytes | Path,
    *,
    precision: str = Precision.FP32,
    threads: int | None = None,
    device: str | int | None = None,
) -> Engine:
    """Open an ONNX that was compiled for a backend.

    Args:
        backend: name of a backend that runs ONNX.
        model: the file, or its content.
        precision: name of the `Precision` that the ONNX was compiled for.
        threads: CPU threads; None for all.
        device: as of `lc_trt.backends.base.Backend.open`.

    Raises:
        LcTrtError: as of `lc_trt.backends.base.Backend.open`.
        UsageError: likewise.
    """
    runtime = get_backend(backend)
    compiled = Compiled(backend, "", Precision.parse(precision), {runtime.engine_file: model})
    return runtime.open(compiled, threads=threads, device=device)


def open_reference(
    model: onnx.ModelProto, size: Size, batch: int = 1, *, threads: int | None = None
) -> Engine:
    """Open an exchange model in ONNX Runtime, which runs its function bodies in FP32.

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
