"""The forms of region operators that only TensorRT's plugins have, as ONNX functions.

RegionConv on several inputs, the same in INT8, and RegionQuantize. ONNX Runtime runs the bodies,
which are their specification, as those in `lc_trt.ir.functions` are.
"""

from __future__ import annotations

import enum

import onnx

from lc_trt.ir.functions import (
    ACTIVATION,
    MATRICES,
    PRODUCT,
    REGION_OPERATORS,
    WINDOW,
    parse_function,
)

PLUGIN_OPERATORS = (*REGION_OPERATORS, "RegionQuantize")
MAX_SEGMENTS = 8  # as many as the kernel walks

# Sums of products of 8 bits are exact in double precision, as in INT32. MatMulInteger would be
# the plain way to say it, but ONNX Runtime's kernels for it saturate on processors without VNNI.
_INTEGER_PRODUCT = f"""
{MATRICES}
  patches_wide = Cast<to = 11>(patches)
  matrix_wide = Cast<to = 11>(matrix)
  sums = MatMul(patches_wide, matrix_wide)
  sums_float = Cast<to = 1>(sums)
  product = Mul(sums_float, scale)
  biased = Add(product, bias)
  factor = Constant<value_float: float = @residual_scale>()
  scaled = Mul(biased, factor)
  residual_float = Cast<to = 1>(residual)
  residual_factor = Constant<value_float: float = @residual_factor>()
  added = Mul(residual_float, residual_factor)
  total = Add(scaled, added)
"""

_QUANTIZE = """
RegionQuantize <scale: float> (x, count) => (y)
{
  full = Cast<to = 1>(x)
  step = Constant<value_float: float = @scale>()
  zero = Constant<value = int8 {0}>()
  y = QuantizeLinear(full, step, zero)
}"""


def quantize_function() -> onnx.FunctionProto:
    """RegionQuantize: floating ``x`` [R, C] -> int8 ``y``, round half to even of x / scale.

    Saturated to -128..127; the zero point is 0.
    """
    copy = onnx.FunctionProto()
    copy.CopyFrom(parse_function(_QUANTIZE))
    return copy


def segments_function(segments: int) -> onnx.FunctionProto:
    """RegionConv in the form that its TensorRT plugin has, as an overload of the function.

    1 to 8 inputs ``x`` [R, C] instead of one, convolved as if they were concatenated; of each
    the channels from ``channel_begin`` to ``channel_end`` are read. ``weight`` is
    [Cout, kh, kw, Cin], which is what ``weight_layout`` 1 says; ``bias`` may be FP32 where the
    rest is not. ``residual_factor`` and ``output_type`` are there for the plugin alone, whose INT8
    form has them: here they have no value but their defaults.
    """
    return _in_segments(
        f"segments{segments}", segments, "weight, bias",
        ", residual_factor: float = 1.0, output_type: int = 0", PRODUCT,
        "y = Where(rectify, rectified, total)",
    )  # fmt: skip


class IntegerOutput(enum.Enum):
    """What RegionConv makes of int8 rows: its overload's ending, ``output_type`` and last step."""

    INT8 = (
        "",
        0,
        """
  one_float = Constant<value_float: float = 1.0>()
  zero_code = Constant<value = int8 {0}>()
  y = QuantizeLinear(active, one_float, zero_code)""",
    )
    FP32 = "_fp32", 1, "y = Identity(active)"
    FP16 = "_fp16", 2, "y = Cast<to = 10>(active)"
    BF16 = "_bf16", 3, "y = Cast<to = 16>(active)"

    def __init__(self, ending: str, number: int, step: str) -> None:
        self.ending, self.number, self.step = ending, number, step


def integer_function(segments: int, output: IntegerOutput) -> onnx.FunctionProto:
    """RegionConv on int8 rows, as TensorRT's plugin has it: `segments_function` with scales.

    ``x`` and ``weight`` int8 with zero point 0, ``scale`` and ``bias`` float32 [Cout],
    ``residual`` int8 or the output's floating type, [1, 1] for none:

        y = activation(residual_factor * residual
                       + residual_scale * (sum of products * scale + bias))

    rounded half to even and saturated where ``y`` is int8; then all scales are over that of
    ``y``. ``output_type`` says the type of ``y`` to the plugin, the overload to ONNX.
    """
    return _in_segments(
        f"int8_segments{segments}{output.ending}", segments, "weight, scale, bias",
        f", residual_factor: float = 1.0, output_type: int = {output.number}", _INTEGER_PRODUCT,
        f"active = Where(rectify, rectified, total)\n{output.step}",
    )  # fmt: skip


def _in_segments(
    overload: str, segments: int, weights: str, attributes: str, product: str, last: str
) -> onnx.FunctionProto:
    numbers = range(segments)
    slices = "\n".join(
        f"""
  from{i} = Constant<value_ints: ints = [{i}]>()
  to{i} = Constant<value_ints: ints = [{i + 1}]>()
  begin{i} = Slice(begins, from{i}, to{i})
  end{i} = Slice(ends, from{i}, to{i})
  part{i} = Slice(x_{i}, begin{i}, end{i}, channel_axis)"""
        for i in numbers
    )
    inputs = ", ".join(f"x_{i}" for i in numbers)
    parts = ", ".join(f"part{i}" for i in numbers)
    copy = onnx.FunctionProto()
    copy.CopyFrom(
        parse_function(f"""
RegionConv <kernel_shape, dilations, channel_begin, channel_end, weight_layout: int = 1,
            activation: int = 0, residual_scale: float = 1.0{attributes}>
  ({inputs}, rows, index, count, {weights}, residual) => (y)
{{
  begins = Constant<value_ints: ints = @channel_begin>()
  ends = Constant<value_ints: ints = @channel_end>()
  channel_axis = Constant<value_ints: ints = [1]>()
{slices}
  x = Concat<axis = 1>({parts})
{WINDOW}
  channels_last = Transpose<perm = [1, 2, 3, 0]>(weight)
{product}
{ACTIVATION}
  {last}
}}""")
    )
    copy.overload = overload
    return copy
