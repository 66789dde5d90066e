"""Region operators -> our TensorRT plugins, and nothing beside them on a region's rows.

Under TensorRT a tensor of rows has room for every pixel of the map, and how many rows are valid
is known on the device only. A plugin stops after these; a layer of TensorRT's own would not. So
all that happens to rows goes into plugins, mostly into RegionConv, and the rest moves behind
them, onto the map.

The result is ONNX as its source was: ONNX Runtime runs it through the functions' bodies.
"""

from __future__ import annotations

import onnx

from lc_trt.compiler.graph import Graph
from lc_trt.compiler.lower_tensorrt.full_map_heads import scatter_logits
from lc_trt.compiler.lower_tensorrt.fuse_epilogues import fuse_epilogues
from lc_trt.compiler.lower_tensorrt.int8_maps import quantize_maps
from lc_trt.compiler.lower_tensorrt.int8_padding import widen_rows
from lc_trt.compiler.lower_tensorrt.int8_rows import quantize_rows
from lc_trt.compiler.lower_tensorrt.int32_masks import int32_masks
from lc_trt.compiler.lower_tensorrt.merge_branches import merge_branches
from lc_trt.compiler.lower_tensorrt.operators import mark_integer
from lc_trt.compiler.lower_tensorrt.plugin_nodes import name_plugins
from lc_trt.compiler.lower_tensorrt.segments import Segmented, read_segments
from lc_trt.compiler.lower_tensorrt.uint8_io import cast_at_borders
from lc_trt.compiler.lower_tensorrt.verify import check_lowered
from lc_trt.compiler.passes.insert_qdq import Quantization, group_scales
from lc_trt.compiler.passes.quantization_plan import make_plan
from lc_trt.ir.region_ops import OutputType

__all__ = ["STEPS", "lower_tensorrt"]

# In this order: an epilogue keeps a branch from being merged, and merging leaves what segments
# read in parts.
STEPS = (
    cast_at_borders,
    int32_masks,
    scatter_logits,
    fuse_epilogues,
    merge_branches,
)


def lower_tensorrt(
    model: onnx.ModelProto,
    quantization: Quantization | None = None,
    floating: OutputType = OutputType.FP32,
) -> onnx.ModelProto:
    """A model, cascade or dense, in the form that TensorRT runs with our plugins.

    Sizes may be symbolic. Constants and batch norm are folded before (`FoldConstants`,
    `FoldBatchNorm`).

    Args:
        quantization: makes it INT8; None leaves it in FP32.
        floating: what region convolutions in INT8 give where something reads it in floating
            point.

    Raises:
        LcTrtError: the network does to rows what no plugin does, the message names the node; or
            a tensor that needs a range has none.
    """
    folded, plan = model, None
    if quantization is not None:
        plan = make_plan(Graph(folded))
        model = mark_integer(folded, set(plan.convolutions) - set(quantization.keep))
    for step in STEPS:
        model = step(model)
    model, parts = read_segments(model)
    if quantization is not None and plan is not None:
        model, parts = widen_rows(Segmented(model, parts))
        model = quantize_maps(model, folded, plan, quantization)
        model = quantize_rows(model, parts, group_scales(plan, quantization), floating)
    model = name_plugins(model)
    check_lowered(model)
    return model
