"""The backends by name, in order of preference."""

from __future__ import annotations

from lc_trt.bundle.sections import Profile
from lc_trt.compiler.options import CompileOptions, Precision, Size
from lc_trt.runtime.engines import TENSORRT, resolve_backend
from lc_trt.trt.options import PlanOptions


def compile_options(
    backend: str = "auto",
    size: Size | Profile[Size] | None = None,
    batch: int | Profile[int] = 1,
    precision: str | None = None,
    fallback_precision: str | None = None,
    *,
    reuse: bool = False,
    tensorrt: PlanOptions | None = None,
) -> CompileOptions:
    """Options for an installed backend, with its defaults where nothing is asked for.

    Args:
        backend: its name; ``auto`` is the first that runs here.
        size: (height, width) in pixels, a profile of them, or None for the model's own.
        batch: images per pass, or a profile of them.
        precision: name of a `Precision`; None is FP16 for TensorRT, FP32 for the others.
        fallback_precision: in INT8, of what stays in floating point; None is FP16 for TensorRT,
            FP32 for the others.
        reuse: adds temporal reuse to a cascade.
        tensorrt: builder options of TensorRT; None leaves its defaults.

    Raises:
        UsageError: no such backend, size, batch or precision.
        LcTrtError: the backend is not installed.
    """
    name = resolve_backend(backend)
    default = Precision.FP16 if name == TENSORRT else Precision.FP32
    return CompileOptions.of(
        name,
        size,
        batch,
        precision or default,
        fallback_precision or default,
        reuse=reuse,
        tensorrt=tensorrt,
    )
