"""Pass sequences from the exchange ONNX to each backend's model."""

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
from lc_trt.ir.operator_schema import OutputType

# Passes of a backend in order; None for passes that the options do not require.
PassSequence = Callable[[CompileOptions], tuple[Pass | None, ...]]


def onnxruntime_passes(options: CompileOptions) -> tuple[Pass | None, ...]:
    """Passes for ONNX Runtime and other runtimes of standard ONNX.

    Args:
        options: options with a fixed size and batch.
    """
    # Its integer kernels add quantised values only.
    return _standard_passes(options, Lowering(), quantize_branches=True)


def openvino_passes(options: CompileOptions) -> tuple[Pass | None, ...]:
    """Passes for OpenVINO.

    Args:
        options: options with a fixed size and batch.
    """
    return _standard_passes(
        options,
        Lowering(row_multiple=64, float_products=True),
        DilatedMaxPool(),
        UpsampledArgMax(),
        ArgMaxAsMax(),
    )


def _standard_passes(
    options: CompileOptions, lowering: Lowering, *last: Pass, quantize_branches: bool = False
) -> tuple[Pass | None, ...]:
    """Passes to standard operators; ``last`` are those that only one backend needs."""
    size, batch = options.fixed_shape()
    int8 = options.quantization
    return (
        CheckWeights(),
        Freeze(batch, size),
        FoldConstants(),
        FoldBatchNorm(),
        TemporalReuse() if options.reuse else None,
        InsertQdq(int8, branches=quantize_branches) if int8 else None,
        LowerStandard(lowering, options.fp32_tensors),
        InlineFunctions(),
        FoldConstants(),
        Int32Bias() if int8 else None,
        *last,
        _note_fp32(options),
    )


def tensorrt_passes(options: CompileOptions) -> tuple[Pass | None, ...]:
    """Passes for TensorRT, with region operators as our plugins.

    With profiles, size and batch stay symbolic. TensorRT networks are strongly typed: they use the
    types of the graph. ONNX Runtime can run the result, too.

    Args:
        options: options with a size.
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
    """Record the FP32 tensors of a model for an engine that converts it to half precision."""
    precision = options.precision
    return NoteFp32(precision, options.fp32_tensors) if precision.reduced_float else None


def prepare(
    source: onnx.ModelProto, size: tuple[int, int] | None = None, batch: int | None = None
) -> Graph:
    """Prepare an exchange model for calibration: fixed size, folded batch norms.

    Args:
        source: exchange model, not modified.
        size: (height, width) in pixels; None leaves it symbolic.
        batch: images per pass; None leaves it symbolic.
    """
    graph = Graph(source)
    apply_passes(graph, (Freeze(batch, size), FoldConstants(), FoldBatchNorm()))
    return graph


def compile_model(
    source: onnx.ModelProto, options: CompileOptions, passes: PassSequence
) -> onnx.ModelProto:
    """Compile an exchange model, cascade or dense, for a backend.

    Args:
        source: exchange model, not modified.
        options: compile options; the size defaults to the model's own, and INT8 requires
            ``quantization``.
        passes: pass sequence of the backend.

    Returns:
        A model with the same inputs and outputs, plus those of temporal reuse
        (`lc_trt.ir.interface`) if enabled.

    Raises:
        LcTrtError: a weight is NaN, a tensor has no INT8 range, or a node is not supported by the
            backend or precision; the message names it.
        ValueError: a profile for a backend with a fixed size and batch, or INT8 without
            ``quantization``.
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
    assert info is not None, "an exchange model has a size"
    return replace(options, size=Profile.of(info.size))
