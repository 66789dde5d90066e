"""The region operators as ONNX functions.

Their bodies are standard operators, so any ONNX Runtime runs a cascade ONNX as it
is; the bodies are also the operators' specification, which faster forms
(`compiler.lower_standard`, the TensorRT plugins) are tested against. Their signatures are those
of `ir.region_ops`.
"""

from __future__ import annotations

import functools

import onnx
from onnx import parser

from lc_trt.ir.interface import DOMAIN, OPSET
from lc_trt.ir.operator_schema import EXCHANGE, Form, RegionOperator
from lc_trt.ir.region_ops import (
    REGION_CONV,
    REGION_GATHER,
    REGION_MAX_POOL,
    REGION_RESTRICT,
    REGION_SCATTER,
    REGION_SELECT,
)

WINDOW = """
  kernel = Constant<value_ints: ints = @kernel_shape>()
  dilation = Constant<value_ints: ints = @dilations>()
  zero = Constant<value_ints: ints = [0]>()
  one = Constant<value_ints: ints = [1]>()
  two = Constant<value_ints: ints = [2]>()
  half = Div(kernel, two)
  margin = Mul(dilation, half)
  pads = Concat<axis = 0>(zero, margin, zero, margin)
  padded = Pad<mode = "constant">(index, pads)
  padded_size = Shape(padded)
  size = Shape(index)
  h = Gather(size, one)
  w = Gather(size, two)
  hp = Gather(padded_size, one)
  wp = Gather(padded_size, two)
  position = Cast<to = 7>(rows)
  area = Mul(h, w)
  padded_area = Mul(hp, wp)
  image = Div(position, area)
  before = Mul(image, area)
  inside = Sub(position, before)
  y0 = Div(inside, w)
  y0w = Mul(y0, w)
  x0 = Sub(inside, y0w)
  image_start = Mul(image, padded_area)
  row_start = Mul(y0, wp)
  corner_row = Add(image_start, row_start)
  corner = Add(corner_row, x0)
  scalar0 = Constant<value_int: int = 0>()
  scalar1 = Constant<value_int: int = 1>()
  kh = Gather(kernel, scalar0)
  kw = Gather(kernel, scalar1)
  dh = Gather(dilation, zero)
  dw = Gather(dilation, one)
  range_h = Range(scalar0, kh, scalar1)
  range_w = Range(scalar0, kw, scalar1)
  dy = Mul(range_h, dh)
  dx = Mul(range_w, dw)
  dyw = Mul(dy, wp)
  dy_column = Unsqueeze(dyw, one)
  dx_row = Unsqueeze(dx, zero)
  offset_grid = Add(dy_column, dx_row)
  minus_one = Constant<value_ints: ints = [-1]>()
  offsets = Reshape(offset_grid, minus_one)
  offsets_row = Unsqueeze(offsets, zero)
  corner_column = Unsqueeze(corner, one)
  taps = Add(corner_column, offsets_row)
  flat_padded = Reshape(padded, minus_one)
  table = Gather<axis = 0>(flat_padded, taps)
  channels = Shape<start = 1, end = 2>(x)
  zero_row_shape = Concat<axis = 0>(one, channels)
  zero_value = Constant<value_float: float = 0.0>()
  zero_like = CastLike(zero_value, x)
  zero_row = Expand(zero_like, zero_row_shape)
  with_zero = Concat<axis = 0>(zero_row, x)
  windows = Gather<axis = 0>(with_zero, table)
"""

# `matrix` [kh kw Cin, Cout] is made of the weight in between, as its layout wants it.
MATRICES = """
  outputs = Shape<start = 0, end = 1>(weight)
  matrix_shape = Concat<axis = 0>(minus_one, outputs)
{matrix}
  inputs = Shape<start = 0, end = 1>(matrix)
  patch_shape = Concat<axis = 0>(minus_one, inputs)
  patches = Reshape(windows, patch_shape)
"""

PRODUCT = """
  product = MatMul(patches, matrix)
  bias_like = CastLike(bias, product)
  biased = Add(product, bias_like)
  factor = Constant<value_float: float = @residual_scale>()
  factor_like = CastLike(factor, biased)
  scaled = Mul(biased, factor_like)
  total = Add(scaled, residual)
"""

ACTIVATION = """
  rectified = Relu(total)
  activation_number = Constant<value_int: int = @activation>()
  rectify = Cast<to = 9>(activation_number)
"""

_MATRIX = """
  channels_last = Transpose<perm = [2, 3, 1, 0]>(weight)
  matrix = Reshape(channels_last, matrix_shape)
"""

_BODIES = {
    REGION_SELECT: """
  sure = Greater(confidence, rho)
  unsure = Not(sure)
  active_bool = Cast<to = 9>(active)
  hard_bool = And(active_bool, unsure)
  hard = CastLike(hard_bool, active)
  minus_one = Constant<value_ints: ints = [-1]>()
  flat = Reshape(hard_bool, minus_one)
  nonzero = NonZero(flat)
  axis0 = Constant<value_ints: ints = [0]>()
  rows64 = Squeeze(nonzero, axis0)
  rows = Cast<to = 6>(rows64)
  count64 = Shape(rows64)
  count = Cast<to = 6>(count64)
  ones = Cast<to = 6>(flat)
  scalar0 = Constant<value_int: int = 0>()
  running = CumSum(ones, scalar0)
  flat_index = Mul(running, ones)
  size = Shape(hard_bool)
  keep = Constant<value_ints: ints = [0, 2, 3]>()
  index_size = Gather(size, keep)
  index = Reshape(flat_index, index_size)""",
    REGION_GATHER: """
  last = Transpose<perm = [0, 2, 3, 1]>(x)
  channels = Shape<start = 1, end = 2>(x)
  minus_one = Constant<value_ints: ints = [-1]>()
  flat_shape = Concat<axis = 0>(minus_one, channels)
  flat = Reshape(last, flat_shape)
  y = Gather<axis = 0>(flat, rows)""",
    REGION_RESTRICT: """
  minus_one = Constant<value_ints: ints = [-1]>()
  flat_index = Reshape(index, minus_one)
  numbers = Gather<axis = 0>(flat_index, rows)
  one32 = Constant<value = int32 {1}>()
  previous = Sub(numbers, one32)
  y = Gather<axis = 0>(x, previous)""",
    REGION_CONV: f"""
{WINDOW}
{MATRICES.format(matrix=_MATRIX)}
{PRODUCT}
{ACTIVATION}
  y = Where(rectify, rectified, total)""",
    REGION_MAX_POOL: f"""
{WINDOW}
  y = ReduceMax<keepdims = 0>(windows, one)""",
    REGION_SCATTER: """
  last = Transpose<perm = [0, 2, 3, 1]>(base)
  channels = Shape<start = 1, end = 2>(base)
  minus_one = Constant<value_ints: ints = [-1]>()
  flat_shape = Concat<axis = 0>(minus_one, channels)
  flat = Reshape(last, flat_shape)
  rows64 = Cast<to = 7>(rows)
  axis1 = Constant<value_ints: ints = [1]>()
  positions = Unsqueeze(rows64, axis1)
  written = ScatterND(flat, positions, x)
  size = Shape(last)
  map = Reshape(written, size)
  y = Transpose<perm = [0, 3, 1, 2]>(map)""",
}


@functools.cache
def _parsed(operator: RegionOperator, form: Form, body: str) -> onnx.FunctionProto:
    header = f'<opset_import: ["" : {OPSET}], domain: "{DOMAIN}">'
    function = parser.parse_function(f"{header}\n{operator.signature(form)}\n{{{body}\n}}")
    function.overload = form.overload
    return function


def make_function(operator: RegionOperator, form: Form, body: str) -> onnx.FunctionProto:
    """The function of a form of an operator.

    Args:
        operator: gives the signature.
        form: which overload.
        body: the nodes, in ONNX's text form.
    """
    copy = onnx.FunctionProto()
    copy.CopyFrom(_parsed(operator, form, body))
    return copy


def region_function(operator: RegionOperator) -> onnx.FunctionProto:
    """The ONNX function of a region operator of the exchange format.

    Args:
        operator: one of `region_ops.EXCHANGE_OPERATORS`.
    """
    return make_function(operator, EXCHANGE, _BODIES[operator])
