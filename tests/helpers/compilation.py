"""Networks compiled for a backend, as far as ONNX goes."""

from __future__ import annotations

from collections.abc import Collection

import onnx

from lc_trt.backends.registry import get_backend, names
from lc_trt.bundle.sections import Profile
from lc_trt.compiler.options import CompileOptions, Quantization

BACKENDS = names()
CPU_BACKENDS = tuple(name for name in BACKENDS if not get_backend(name).capabilities.on_gpu)
# Profiles that leave size and batch symbolic.
ANY_SIZE, ANY_BATCH = Profile((32, 32), (64, 96), (512, 512)), Profile(1, 2, 4)


def lowered(
    source: onnx.ModelProto,
    backend: str,
    size: tuple[int, int] | None,
    batch: int | None,
    quantization: Quantization | None = None,
    precision: str = "fp32",
    fp32_tensors: Collection[str] = (),
    *,
    reuse: bool = False,
) -> onnx.ModelProto:
    """The ONNX that a backend runs or builds from.

    Args:
        source: an exchange model.
        backend: name of the backend.
        size: (height, width) in pixels; None leaves it symbolic.
        batch: images per pass; None leaves it symbolic.
        quantization: compiles in INT8, with ``precision`` as the fallback precision.
        precision: of the network.
        fp32_tensors: tensors beyond FP16.
        reuse: whether to add temporal reuse.
    """
    options = CompileOptions.of(
        backend,
        size or ANY_SIZE,
        batch or ANY_BATCH,
        precision if quantization is None else "int8",
        precision,
        quantization=quantization,
        fp32_tensors=fp32_tensors,
        reuse=reuse,
    )
    return get_backend(backend).lower(source, options)


def lowered_for_tensorrt(
    source: onnx.ModelProto,
    size: tuple[int, int] | None,
    batch: int | None,
    precision: str,
    quantization: Quantization | None = None,
    fp32_tensors: Collection[str] = (),
) -> onnx.ModelProto:
    """`lowered` for TensorRT."""
    return lowered(source, "tensorrt", size, batch, quantization, precision, fp32_tensors)
