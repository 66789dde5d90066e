"""The forms of region operators that only TensorRT's plugins have, as ONNX functions.

RegionConv on several inputs, the same in INT8, and RegionQuantize. ONNX Runtime runs the bodies,
which are their specification, as those in `lc_trt.ir.functions` are.
"""

from __future__ import annotations

import onnx

from lc_trt.ir.functions import (
    ACTIVATION,
    MATRICES,
    PRODUCT,
    WINDOW,
    make_function,
    region_function,
)
from lc_trt.ir.operator_schema import EXCHANGE, Form, OutputType, RegionOperator
from lc_trt.ir.region_ops import REGION_CONV, REGION_QUANTIZE

_QUANTIZE = """
  full = Cast<to = 1>(x)
  step = Constant<value_float: float = @scale>()
  zero = Constant<value = int8 {0}>()
  y = QuantizeLinear(full, step, zero)"""

# Both layouts have as many values: one of them, as a matrix [kh kw Cin, Cout], is the weight.
_LAYOUT = """
  from_ohwi = Transpose<perm = [1, 2, 3, 0]>(weight_values)
  from_oihw = Transpose<perm = [2, 3, 1, 0]>(weight_values)
  matrix_from_ohwi = Reshape(from_ohwi, matrix_shape)
  matrix_from_oihw = Reshape(from_oihw, matrix_shape)
  layout_number = Constant<value_int: int = @weight_layout>()
  is_ohwi = Cast<to = 9>(layout_number)
  matrix = Where(is_ohwi, matrix_from_ohwi, matrix_from_oihw)
"""

# Sums of products of 8 bits are exact in double precision, as in INT32. MatMulInteger would be
# the plain way to say it, but ONNX Runtime's kernels for it saturate on processors without VNNI.
_INTEGER_PRODUCT = """
  patches_wide = Cast<to = 11>(patches)
  sums = MatMul(patches_wide, matrix)
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

# Of RegionConv on INT8 rows, by the type that it returns.
_LAST_STEPS = {
    OutputType.INT8: """
  one_float = Constant<value_float: float = 1.0>()
  zero_point = Constant<value = int8 {0}>()
  y = QuantizeLinear(active, one_float, zero_point)""",
    OutputType.FP32: "  y = Identity(active)",
    OutputType.FP16: "  y = Cast<to = 10>(active)",
    OutputType.BF16: "  y = Cast<to = 16>(active)",
}


def plugin_function(operator: RegionOperator, form: Form) -> onnx.FunctionProto:
    """The function of a region operator in a form that its TensorRT plugin has.

    RegionConv has, beside the exchange format's form, overloads with 1 to 8 inputs ``x`` [R, C],
    convolved as if they were concatenated; of each the channels from ``channel_begin`` to
    ``channel_end`` are read. ``bias`` may be FP32 where the rest is not.

    On INT8 rows ``x`` and ``weight`` are int8 with zero point 0, ``scale`` and ``bias`` float32
    [Cout], ``residual`` int8 or the output's floating type, [1, 1] for none:

        y = activation(residual_factor * residual
                       + residual_scale * (sum of products * scale + bias))

    rounded half to even and saturated where ``y`` is int8; then all scales are divided by that of
    ``y``. The attribute ``output_type`` tells the plugin the type of ``y``, the overload ONNX.

    Args:
        operator: any of `region_ops.OPERATORS`.
        form: of RegionConv; the others have one form.
    """
    if operator is REGION_QUANTIZE:
        return make_function(operator, EXCHANGE, _QUANTIZE)
    if form.segments is None:
        return region_function(operator)
    if operator is not REGION_CONV:
        raise ValueError(f"{operator.name} has no overloads")
    return make_function(operator, form, _conv_body(form, form.segments))


def _conv_body(form: Form, segments: int) -> str:
    slices = "\n".join(
        f"""
  from{i} = Constant<value_ints: ints = [{i}]>()
  to{i} = Constant<value_ints: ints = [{i + 1}]>()
  begin{i} = Slice(begins, from{i}, to{i})
  end{i} = Slice(ends, from{i}, to{i})
  part{i} = Slice(x_{i}, begin{i}, end{i}, channel_axis)"""
        for i in range(segments)
    )
    parts = ", ".join(f"part{i}" for i in range(segments))
    if form.output is None:
        values, product = "weight_values = Identity(weight)", PRODUCT
        last = "  y = Where(rectify, rectified, total)"
    else:
        values, product = "weight_values = Cast<to = 11>(weight)", _INTEGER_PRODUCT
        last = f"  active = Where(rectify, rectified, total)\n{_LAST_STEPS[form.output]}"
    return f"""
  begins = Constant<value_ints: ints = @channel_begin>()
  ends = Constant<value_ints: ints = @channel_end>()
  channel_axis = Constant<value_ints: ints = [1]>()
{slices}
  x = Concat<axis = 1>({parts})
{WINDOW}
  {values}
{MATRICES.format(matrix=_LAYOUT)}
{product}
{ACTIVATION}
{last}"""
