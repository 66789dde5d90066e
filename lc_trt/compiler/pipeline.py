"""Passes in order: exchange ONNX -> what a backend runs."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import replace

import onnx

from lc_trt.bundle.sections import Profile
from lc_trt.compiler.frontend.check_weights import CheckWeights
from lc_trt.compiler.graph import Graph
from lc_trt.compiler.lower_standard import Lowering, LowerStandard
from lc_trt.compiler.lower_tensorrt import lower_tensorrt
from lc_trt.compiler.options import CompileOptions
from lc_trt.compiler.pass_manager import Pass, apply_passes
from lc_trt.compiler.passes.argmax_as_max import ArgMaxAsMax
from lc_trt.compiler.passes.dilated_max_pool import DilatedMaxPool
from lc_trt.compiler.passes.fold_batch_norm import FoldBatchNorm
from lc_trt.compiler.passes.fold_constants import FoldConstants
from lc_trt.compiler.passes.freeze import Freeze
from lc_trt.compiler.passes.inline_functions import InlineFunctions
from lc_trt.compiler.passes.insert_qdq import InsertQdq
from lc_trt.compiler.passes.int32_bias import Int32Bias
from lc_trt.compiler.passes.mixed_precision import NoteFp32, ToHalf
from lc_trt.compiler.passes.temporal_reuse import TemporalReuse
from lc_trt.compiler.passes.upsampled_argmax import UpsampledArgMax
from lc_trt.ir.metadata import read_info
from lc_trt.ir.region_ops import OutputType

# The passes of a backend, in order; None for a pass that the options do not need.
PassSequence = Callable[[CompileOptions], tuple[Pass | None, ...]]


def onnxruntime_passes(options: CompileOptions) -> tuple[Pass | None, ...]:
    """What a model goes through for ONNX Runtime, or another runtime of standard ONNX.

    Args:
        options: of one size and batch.
    """
    size, batch = options.fixed_shape()
    int8, keep = options.quantization, options.fp32_tensors
    return (
        CheckWeights(),
        Freeze(batch, size),
        FoldConstants(),
        FoldBatchNorm(),
        TemporalReuse() if options.reuse else None,
        # Its integer kernels take an addition only between quantised values.
        InsertQdq(int8, branches=True) if int8 else None,
        LowerStandard(Lowering(), keep),
        InlineFunctions(),
        FoldConstants(),
        Int32Bias() if int8 else None,
        _note_fp32(options),
    )


def openvino_passes(options: CompileOptions) -> tuple[Pass | None, ...]:
    """What a model goes through for OpenVINO.

    Args:
        options: of one size and batch.
    """
    size, batch = options.fixed_shape()
    int8, keep = options.quantization, options.fp32_tensors
    return (
        CheckWeights(),
        Freeze(batch, size),
        FoldConstants(),
        FoldBatchNorm(),
        TemporalReuse() if options.reuse else None,
        InsertQdq(int8) if int8 else None,
        LowerStandard(Lowering(row_multiple=64, float_products=True), keep),
        InlineFunctions(),
        FoldConstants(),
        Int32Bias() if int8 else None,
        DilatedMaxPool(),
        UpsampledArgMax(),
        ArgMaxAsMax(),
        _note_fp32(options),
    )


def tensorrt_passes(options: CompileOptions) -> tuple[Pass | None, ...]:
    """What a model goes through for TensorRT's parser, region operators as our plugins.

    Profiles leave size and batch symbolic. TensorRT's networks are strongly typed: their types are
    those of the graph. ONNX Runtime runs the result, too.

    Args:
        options: with a size.
    """
    assert options.size is not None
    floating = options.floating
    return (
        CheckWeights(),
        Freeze(options.batch.fixed, options.size.fixed),
        FoldConstants(),
        FoldBatchNorm(region_factors=False),
        *lower_tensorrt(options.quantization, OutputType[floating.name]),
        ToHalf(floating, options.fp32_tensors) if floating.reduced_float else None,
    )


def _note_fp32(options: CompileOptions) -> NoteFp32 | None:
    """An engine computes all in half precision but what the model says stays in FP32."""
    precision = options.precision
    return NoteFp32(precision, options.fp32_tensors) if precision.reduced_float else None


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
    source: onnx.ModelProto, options: CompileOptions, passes: PassSequence
) -> onnx.ModelProto:
    """An exchange model, cascade or dense, as a backend takes it.

    Args:
        source: stays as it is.
        options: without a size it is the model's own. INT8 needs a quantisation.
        passes: those of the backend.

    Returns:
        A model with the same inputs and outputs, and those of `lc_trt.ir.interface` where it has
        temporal reuse.

    Raises:
        LcTrtError: a weight is NaN, the network does what the backend or FP16 cannot, the message
            names the node; or a tensor that INT8 needs has no range.
        ValueError: a profile where the backend takes one size and batch, or INT8 without a
            quantisation.
    """
    graph = Graph(source)
    steps = passes(_complete(source, options))
    apply_passes(graph, [step for step in steps if step is not None])
    onnx.checker.check_model(graph.skeleton())
    return graph.encode()


def _complete(source: onnx.ModelProto, options: CompileOptions) -> CompileOptions:
    if options.precision.quantized and options.quantization is None:
        raise ValueError("INT8 needs a quantisation: calibrate first")
    if options.size is not None:
        return options
    info = read_info(source)
    assert info is not None, "an exchange model says its size"
    return replace(options, size=Profile.of(info.size))
