"""Passes in order: exchange ONNX -> what a backend runs."""

from __future__ import annotations

from collections.abc import Callable, Collection, Mapping
from dataclasses import dataclass
from typing import cast

import onnx

from lc_trt.compiler.frontend.check_weights import CheckWeights
from lc_trt.compiler.graph import Graph
from lc_trt.compiler.lower_standard import Lowering, LowerStandard
from lc_trt.compiler.lower_tensorrt import lower_tensorrt
from lc_trt.compiler.pass_manager import Pass, apply_passes
from lc_trt.compiler.passes.argmax_as_max import ArgMaxAsMax
from lc_trt.compiler.passes.dilated_max_pool import DilatedMaxPool
from lc_trt.compiler.passes.fold_batch_norm import FoldBatchNorm
from lc_trt.compiler.passes.fold_constants import FoldConstants
from lc_trt.compiler.passes.freeze import Freeze
from lc_trt.compiler.passes.inline_functions import InlineFunctions
from lc_trt.compiler.passes.insert_qdq import InsertQdq, Quantization
from lc_trt.compiler.passes.int32_bias import Int32Bias
from lc_trt.compiler.passes.mixed_precision import NoteFp32, ToHalf
from lc_trt.compiler.passes.precision_choice import Half
from lc_trt.compiler.passes.temporal_reuse import TemporalReuse
from lc_trt.compiler.passes.upsampled_argmax import UpsampledArgMax
from lc_trt.errors import LcTrtError
from lc_trt.ir.region_ops import OutputType


@dataclass(frozen=True)
class Target:
    """What the passes of a compilation need to know; see `compile_model`."""

    size: tuple[int, int] | None
    batch: int | None
    precision: str = "fp32"
    quantization: Quantization | None = None
    keep: Collection[str] = ()
    reuse: bool = False


def _onnxruntime(target: Target) -> tuple[Pass | None, ...]:
    int8 = target.quantization
    return (
        CheckWeights(),
        Freeze(target.batch, target.size),
        FoldConstants(),
        FoldBatchNorm(),
        TemporalReuse() if target.reuse else None,
        # Its integer kernels take an addition only between quantised values.
        InsertQdq(int8, branches=True) if int8 else None,
        LowerStandard(Lowering(), target.keep),
        InlineFunctions(),
        FoldConstants(),
        Int32Bias() if int8 else None,
        _note_fp32(target),
    )


def _openvino(target: Target) -> tuple[Pass | None, ...]:
    int8 = target.quantization
    return (
        CheckWeights(),
        Freeze(target.batch, target.size),
        FoldConstants(),
        FoldBatchNorm(),
        TemporalReuse() if target.reuse else None,
        InsertQdq(int8) if int8 else None,
        LowerStandard(Lowering(row_multiple=64, float_products=True), target.keep),
        InlineFunctions(),
        FoldConstants(),
        Int32Bias() if int8 else None,
        DilatedMaxPool(),
        UpsampledArgMax(),
        ArgMaxAsMax(),
        _note_fp32(target),
    )


def _note_fp32(target: Target) -> NoteFp32 | None:
    keep = {"fp16": target.keep, "bf16": None}
    return NoteFp32(keep[target.precision]) if target.precision in keep else None


# What each backend's models go through, in order; None for a pass that the target does not need.
PASSES: Mapping[str, Callable[[Target], tuple[Pass | None, ...]]] = {
    "openvino": _openvino,
    "onnxruntime": _onnxruntime,
}


def prepare(source: onnx.ModelProto, size: tuple[int, int], batch: int) -> Graph:
    """An exchange model at one size with its batch norms folded; calibration starts from it.

    Args:
        source: stays as it is.
        size: (height, width) in pixels.
        batch: images per pass.
    """
    graph = Graph(source)
    apply_passes(graph, (Freeze(batch, size), FoldConstants(), FoldBatchNorm()))
    return graph


def compile_model(
    source: onnx.ModelProto,
    backend: str,
    size: tuple[int, int],
    batch: int,
    quantization: Quantization | None = None,
    precision: str = "fp32",
    keep: Collection[str] = (),
    *,
    reuse: bool = False,
) -> onnx.ModelProto:
    """An exchange model, cascade or dense, for one backend at one size.

    Args:
        source: stays as it is.
        backend: one of `PASSES`.
        size: (height, width) in pixels.
        batch: images per pass.
        quantization: makes it INT8; None leaves it in FP32.
        precision: what an engine will be asked for; of ``fp16`` and ``bf16`` the model says which
            of its operators stay in FP32 (`lc_trt.compiler.passes.mixed_precision.NoteFp32`).
        keep: tensors that FP16 cannot hold (`lc_trt.quantization.activation_peaks`); names that
            this form of the network does not have are left out.
        reuse: adds temporal reuse to a cascade.

    Returns:
        A model of standard operators only, with the same inputs and outputs, and those of
        `lc_trt.ir.interface` where it has temporal reuse.

    Raises:
        LcTrtError: no such backend, or a weight is NaN.
    """
    if backend not in PASSES:
        raise LcTrtError(f"backend {backend!r}: expected one of {', '.join(PASSES)}")
    target = Target(size, batch, precision, quantization, keep, reuse)
    return _compile(source, PASSES[backend](target))


def _compile(source: onnx.ModelProto, passes: tuple[Pass | None, ...]) -> onnx.ModelProto:
    """Read a model, apply passes, check the result and encode it, once each."""
    graph = Graph(source)
    apply_passes(graph, [step for step in passes if step is not None])
    onnx.checker.check_model(graph.skeleton())
    return graph.encode()


def compile_for_tensorrt(
    source: onnx.ModelProto,
    size: tuple[int, int] | None,
    batch: int | None,
    precision: str,
    quantization: Quantization | None = None,
    keep: Collection[str] = (),
) -> onnx.ModelProto:
    """An exchange model, cascade or dense, as TensorRT's parser takes it, plugins and all.

    Args:
        source: stays as it is.
        size: (height, width) in pixels; None keeps both symbolic, for an optimisation profile.
        batch: None keeps it symbolic.
        precision: TensorRT's networks are strongly typed: their types are those of the graph.
        quantization: makes it INT8, and leaves what stays in floating point in ``precision``.
        keep: as for `compile_model`.

    Returns:
        A model with the same inputs and outputs, which ONNX Runtime runs too.

    Raises:
        LcTrtError: a weight is NaN, or the network does what our plugins or FP16 cannot, the
            message names the node; or a tensor that INT8 needs has no range.
    """
    known = ("fp16", "bf16", "fp32")
    if precision not in known:
        raise LcTrtError(f"precision {precision!r}: expected one of {', '.join(known)}")
    passes = (
        CheckWeights(),
        Freeze(batch, size),
        FoldConstants(),
        FoldBatchNorm(region_factors=False),
        *lower_tensorrt(quantization, OutputType[precision.upper()]),
        None if precision == "fp32" else ToHalf(cast(Half, precision), keep),
    )
    return _compile(source, passes)
