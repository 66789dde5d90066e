"""Passes in order: exchange ONNX -> what a backend runs."""

from __future__ import annotations

from collections.abc import Callable, Collection
from dataclasses import dataclass, replace
from typing import cast

import onnx
from onnx import inliner

from lc_trt.compiler.frontend.check_weights import check_weights
from lc_trt.compiler.lower_standard import Lowering, lower_standard
from lc_trt.compiler.lower_tensorrt import lower_tensorrt
from lc_trt.compiler.passes.argmax_as_max import argmax_by_maxima
from lc_trt.compiler.passes.dilated_max_pool import shift_dilated_pools
from lc_trt.compiler.passes.fold_batch_norm import fold_affine
from lc_trt.compiler.passes.fold_constants import fold_constants, freeze
from lc_trt.compiler.passes.insert_qdq import Quantization, quantize
from lc_trt.compiler.passes.int32_bias import integer_bias
from lc_trt.compiler.passes.mixed_precision import Half, note_full, to_half
from lc_trt.compiler.passes.temporal_reuse import add_reuse
from lc_trt.compiler.passes.upsampled_argmax import argmax_of_upsampled
from lc_trt.errors import LcTrtError
from lc_trt.ir.region_ops import OutputType

Pass = Callable[[onnx.ModelProto], onnx.ModelProto]


@dataclass(frozen=True)
class Recipe:
    """What a backend wants beside the passes that all of them get.

    Attributes:
        after: passes on what the region operators were lowered to.
        quantised_branches: whether INT8 wants the result of a convolution quantised too that
            only goes into an addition (`quantize.Quantization.branches`).
    """

    lowering: Lowering
    after: tuple[Pass, ...] = ()
    quantised_branches: bool = False


RECIPES = {
    "openvino": Recipe(
        Lowering(row_multiple=64, float_products=True),
        after=(shift_dilated_pools, argmax_of_upsampled, argmax_by_maxima),
    ),
    # Its integer kernels take an addition only between quantised values.
    "onnxruntime": Recipe(Lowering(), quantised_branches=True),
}


def prepare(source: onnx.ModelProto, size: tuple[int, int], batch: int) -> onnx.ModelProto:
    """An exchange model at one size with its batch norms folded; calibration starts from it."""
    return fold_affine(fold_constants(freeze(source, batch, size)))


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
        size: (height, width) in pixels.
        quantization: makes it INT8; None leaves it in FP32.
        precision: what an engine will be asked for; of ``fp16`` and ``bf16`` the model says which
            of its operators stay in FP32 (`lc_trt.compiler.passes.mixed_precision.note_full`).
        keep: tensors that FP16 cannot hold (`lc_trt.quantization.activation_peaks`); names that
            this form of the network does not have are left out.
        reuse: adds temporal reuse to a cascade.

    Returns:
        A model of standard operators only, with the same inputs and outputs, and those of
        `lc_trt.ir.interface` where it has temporal reuse.

    Raises:
        LcTrtError: no such backend, or a weight is NaN.
    """
    if backend not in RECIPES:
        raise LcTrtError(f"backend {backend!r}: expected one of {', '.join(RECIPES)}")
    recipe = RECIPES[backend]
    check_weights(source)
    model = prepare(source, size, batch)
    if reuse:
        model = add_reuse(model)
    if quantization is not None:
        model = quantize(model, replace(quantization, branches=recipe.quantised_branches))
    model = lower_standard(model, recipe.lowering, keep)
    # Whatever functions a foreign exporter left: OpenVINO knows none.
    model = fold_constants(inliner.inline_local_functions(model))
    if quantization is not None:
        model = integer_bias(model)
    lowered = model
    for change in recipe.after:
        model = change(model)
    if precision in ("fp16", "bf16"):
        model = note_full(model, keep if precision == "fp16" else None, lowered)
    onnx.checker.check_model(model)
    return model


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
    check_weights(source)
    model = fold_constants(freeze(source, batch, size))
    floating = OutputType[precision.upper()]
    model = lower_tensorrt(fold_affine(model, region_factors=False), quantization, floating)
    if precision != "fp32":
        model = to_half(model, cast(Half, precision), keep)
    onnx.checker.check_model(model)
    return model
