"""The region operators as ONNX functions: domain ``lc_trt``, version 1.

Their bodies are standard operators, so any ONNX Runtime runs a cascade ONNX as it
is; the bodies are also the operators' specification, which faster forms
(`compiler.lower_standard`, the TensorRT plugins) are tested against.

Vocabulary, for a feature map of N x H x W pixels:

* ``rows`` int32 [R]: flat positions of the region's pixels, ascending;
* ``index`` int32 [N, H, W]: row + 1 at a region's pixel, 0 elsewhere;
* ``count`` int32 [1]: how many rows are valid (all, except under TensorRT);
* compact features [R, C]: one row a pixel.
"""

from __future__ import annotations

import functools

import onnx
from onnx import parser

DOMAIN = "lc_trt"
VERSION = 1
OPSET = 18

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

MATRICES = """
  outputs = Shape<start = 0, end = 1>(weight)
  matrix_shape = Concat<axis = 0>(minus_one, outputs)
  matrix = Reshape(channels_last, matrix_shape)
  inputs = Shape<start = 0, end = 1>(matrix)
  patch_shape = Concat<axis = 0>(minus_one, inputs)
  patches = Reshape(windows, patch_shape)
"""

PRODUCT = f"""
{MATRICES}
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

_BODIES = {
    "RegionSelect": """
RegionSelect (confidence, active, rho) => (rows, index, count, hard)
{
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
  index = Reshape(flat_index, index_size)
}""",
    "RegionGather": """
RegionGather (x, rows, count) => (y)
{
  last = Transpose<perm = [0, 2, 3, 1]>(x)
  channels = Shape<start = 1, end = 2>(x)
  minus_one = Constant<value_ints: ints = [-1]>()
  flat_shape = Concat<axis = 0>(minus_one, channels)
  flat = Reshape(last, flat_shape)
  y = Gather<axis = 0>(flat, rows)
}""",
    "RegionRestrict": """
RegionRestrict (x, index, rows, count) => (y)
{
  minus_one = Constant<value_ints: ints = [-1]>()
  flat_index = Reshape(index, minus_one)
  numbers = Gather<axis = 0>(flat_index, rows)
  one32 = Constant<value = int32 {1}>()
  previous = Sub(numbers, one32)
  y = Gather<axis = 0>(x, previous)
}""",
    "RegionConv": f"""
RegionConv <kernel_shape, dilations, activation: int = 0, residual_scale: float = 1.0>
  (x, rows, index, count, weight, bias, residual) => (y)
{{
{WINDOW}
  channels_last = Transpose<perm = [2, 3, 1, 0]>(weight)
{PRODUCT}
{ACTIVATION}
  y = Where(rectify, rectified, total)
}}""",
    "RegionMaxPool": f"""
RegionMaxPool <kernel_shape, dilations> (x, rows, index, count) => (y)
{{
{WINDOW}
  y = ReduceMax<keepdims = 0>(windows, one)
}}""",
    "RegionScatter": """
RegionScatter (x, rows, count, base) => (y)
{
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
  y = Transpose<perm = [0, 3, 1, 2]>(map)
}""",
}

REGION_OPERATORS = tuple(_BODIES)


@functools.cache
def parse_function(body: str) -> onnx.FunctionProto:
    """A function of this domain from ONNX's text form. Copy it before you change it."""
    header = f'<opset_import: ["" : {OPSET}], domain: "{DOMAIN}">'
    return parser.parse_function(header + body)


def region_function(name: str) -> onnx.FunctionProto:
    """The ONNX function of a region operator; see `REGION_OPERATORS` for the names."""
    copy = onnx.FunctionProto()
    copy.CopyFrom(parse_function(_BODIES[name]))
    return copy
