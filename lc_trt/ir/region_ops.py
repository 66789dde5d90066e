"""The schema of each region operator: its inputs, outputs and attributes, by name.

The one place that knows their order, types and defaults. The ONNX functions (`ir.functions`,
`ir.plugin_functions`) take their signatures from here, nodes are made by `RegionOperator.node` and
read through `ir.node_view`, and the tables of docs/exchange-format.md and of the plugins' READMEs
are written from here (tools/write_operator_tables.py). Tests hold the C++ plugins to it.

A region of a map of N x H x W pixels is `Region`: four tensors. Features inside a stage are
compact, one row per pixel of the region, [R, C].
"""

from __future__ import annotations

from collections.abc import Mapping

from onnx import TensorProto

from lc_trt.ir.operator_schema import Attribute, OutputType, RegionOperator, Tensor, Types

_FLOATING = (TensorProto.FLOAT, TensorProto.FLOAT16, TensorProto.BFLOAT16)
_ROWS = (*_FLOATING, TensorProto.INT8)
_INDEX = (TensorProto.INT32,)
_SAME = Types(same_as="x")
ROWS = Tensor("rows", "[R]", Types(_INDEX))
# What an operator reads: the region's own rows, those of another region, or all rows of a dense
# map, numbered 1 to N * H * W.
INDEX = Tensor("index", "[N, H, W]", Types(_INDEX), note="row of `x` + 1, 0 for none")
COUNT = Tensor("count", "[1]", Types(_INDEX))
_WINDOW = (
    Attribute("kernel_shape", "ints", "height and width", length=2),
    Attribute("dilations", "ints", "height and width", length=2),
)

REGION_SELECT = RegionOperator(
    "RegionSelect",
    "`hard = active and not (confidence > rho)`, so a NaN is hard, and the region that `hard` is",
    (
        Tensor("confidence", "[N, 1, H, W]", Types(_FLOATING)),
        Tensor(
            "active", "[N, 1, H, W]", Types((TensorProto.BOOL, TensorProto.INT32)),
            note="nonzero is active",
        ),
        Tensor("rho", "[]", Types(same_as="confidence"), note="one value of any rank"),
    ),
    (
        Tensor("rows", "[R]", Types(_INDEX), note="flat positions, ascending, valid up to `count`"),
        Tensor("index", "[N, H, W]", Types(_INDEX), note="row + 1 in the region, 0 elsewhere"),
        Tensor("count", "[1]", Types(_INDEX), note="number of valid rows"),
        Tensor("hard", "[N, 1, H, W]", Types(same_as="active"), note="0 or 1"),
    ),
)  # fmt: skip

REGION_GATHER = RegionOperator(
    "RegionGather",
    "The rows of a region out of a dense map: enter a stage",
    (Tensor("x", "[N, C, H, W]", Types(_ROWS)), ROWS, COUNT),
    (Tensor("y", "[R, C]", _SAME),),
)

REGION_RESTRICT = RegionOperator(
    "RegionRestrict",
    "Rows of a region, narrowed to a smaller region inside it or to children of its pixels: enter "
    "the next stage",
    (
        Tensor("x", "[P, C]", Types(_ROWS)),
        INDEX,
        Tensor("rows", "[R]", Types(_INDEX), note="of the smaller region"),
        Tensor("count", "[1]", Types(_INDEX), note="of the smaller region"),
    ),
    (Tensor("y", "[R, C]", _SAME),),
)

REGION_CONV = RegionOperator(
    "RegionConv",
    "`activation(residual + residual_scale * (conv(x) + bias))` on a region's rows; a neighbour "
    "outside the image, or without a row in `index`, reads 0",
    (
        Tensor(
            "x", "[P, Cin]", Types(_FLOATING), int8=Types((TensorProto.INT8,)), variadic=True,
            note="several are convolved as if they were concatenated",
        ),
        ROWS,
        INDEX,
        COUNT,
        Tensor("weight", "[Cout, Cin, kh, kw]", _SAME),
        Tensor("scale", "[Cout]", Types((TensorProto.FLOAT,)), int8_only=True),
        Tensor(
            "bias", "[Cout]", Types((TensorProto.FLOAT,), same_as="x"),
            int8=Types((TensorProto.FLOAT,)),
        ),
        Tensor(
            "residual", "[R, Cout]", _SAME, int8=Types(_ROWS), note="zeros [1, 1] stand for none"
        ),
    ),
    (Tensor("y", "[R, Cout]", _SAME, int8=Types(_ROWS, by="output_type")),),
    (
        *_WINDOW,
        Attribute("activation", "int", "0 none, 1 ReLU", 0, choices=2),
        Attribute("residual_scale", "float", "factor of the convolution and its bias", 1.0),
        Attribute(
            "residual_factor", "float", "factor of the residual; INT8 only", 1.0, plugin_only=True
        ),
        Attribute(
            "output_type", "int", "0 as `x`; INT8 only: 1 FP32, 2 FP16, 3 BF16", 0,
            choices=len(OutputType), plugin_only=True,
        ),
        Attribute(
            "weight_layout", "int",
            "of `weight`: 0 [Cout, Cin, kh, kw], ONNX's own; 1 [Cout, kh, kw, Cin]", 0,
            choices=2, plugin_only=True,
        ),
        Attribute("channel_begin", "ints", "first channel read of each `x`", (), plugin_only=True),
        Attribute("channel_end", "ints", "one past the last of these", (), plugin_only=True),
    ),
)  # fmt: skip

REGION_MAX_POOL = RegionOperator(
    "RegionMaxPool",
    "The maximum over a window of a region's rows; a neighbour outside the image, or without a row "
    "in `index`, reads 0, which after a ReLU changes nothing",
    (Tensor("x", "[P, C]", Types(_ROWS)), ROWS, INDEX, COUNT),
    (Tensor("y", "[R, C]", _SAME),),
    _WINDOW,
)

REGION_QUANTIZE = RegionOperator(
    "RegionQuantize",
    "INT8 values of a region's rows: `saturate(round(x / scale))`, half to even, zero point 0",
    (Tensor("x", "[R, C]", Types(_FLOATING)), COUNT),
    (Tensor("y", "[R, C]", Types((TensorProto.INT8,))),),
    (Attribute("scale", "float", "of `y`, positive"),),
    plugin_only=True,
)

REGION_SCATTER = RegionOperator(
    "RegionScatter",
    "A dense map with a region's pixels replaced: leave a stage",
    (
        Tensor("x", "[R, C]", Types(_FLOATING)),
        ROWS,
        COUNT,
        Tensor("base", "[N, C, H, W]", _SAME),
    ),
    (Tensor("y", "[N, C, H, W]", _SAME),),
)

OPERATORS: Mapping[str, RegionOperator] = {
    operator.name: operator
    for operator in (
        REGION_SELECT,
        REGION_GATHER,
        REGION_RESTRICT,
        REGION_CONV,
        REGION_MAX_POOL,
        REGION_QUANTIZE,
        REGION_SCATTER,
    )
}
# Those of the exchange format.
EXCHANGE_OPERATORS = tuple(o for o in OPERATORS.values() if not o.plugin_only)
# The operators whose first output has one row per pixel of a region.
ROW_OPERATORS = (
    REGION_SELECT,
    REGION_GATHER,
    REGION_RESTRICT,
    REGION_CONV,
    REGION_MAX_POOL,
    REGION_QUANTIZE,
)
