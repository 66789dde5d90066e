"""Region operators -> our TensorRT plugins, and nothing beside them on a region's rows.

Under TensorRT a tensor of rows has room for every pixel of the map, and how many rows are valid
is known on the device only. A plugin stops after these; a layer of TensorRT's own would not. So
all that happens to rows goes into plugins, mostly into RegionConv, and the rest moves behind
them, onto the map.

The result is ONNX as its source was: ONNX Runtime runs it through the functions' bodies.
"""

from __future__ import annotations

from lc_trt.compiler.lower_tensorrt.full_map_heads import FullMapHeads
from lc_trt.compiler.lower_tensorrt.fuse_epilogues import FuseEpilogues
from lc_trt.compiler.lower_tensorrt.int8_maps import Int8Maps
from lc_trt.compiler.lower_tensorrt.int8_padding import Int8Padding
from lc_trt.compiler.lower_tensorrt.int8_plan import Int8Plan
from lc_trt.compiler.lower_tensorrt.int8_rows import Int8Rows
from lc_trt.compiler.lower_tensorrt.int32_masks import Int32Masks
from lc_trt.compiler.lower_tensorrt.merge_branches import MergeBranches
from lc_trt.compiler.lower_tensorrt.operators import LoweringState
from lc_trt.compiler.lower_tensorrt.plugin_nodes import PluginNodes
from lc_trt.compiler.lower_tensorrt.segments import Segments
from lc_trt.compiler.lower_tensorrt.uint8_io import Uint8Io
from lc_trt.compiler.lower_tensorrt.verify import Verify
from lc_trt.compiler.options import Quantization
from lc_trt.compiler.pass_manager import Pass
from lc_trt.ir.region_ops import OutputType

__all__ = ["lower_tensorrt"]


def lower_tensorrt(
    quantization: Quantization | None = None, floating: OutputType = OutputType.FP32
) -> tuple[Pass, ...]:
    """The passes that bring a model, cascade or dense, into the form that TensorRT runs.

    Sizes may be symbolic. Batch norm and constants are folded before. The passes share a state,
    so they are of one model.

    Args:
        quantization: makes it INT8; None leaves it in FP32.
        floating: type of the results of INT8 region convolutions that something reads in
            floating point.

    Returns:
        Passes in order. They raise LcTrtError where the network does to rows what no plugin does,
        with the node's name, or where a tensor that needs a range has none.
    """
    state = LoweringState()
    # An epilogue keeps a branch from being merged, and merging leaves what segments read in parts.
    lowered = (
        Uint8Io(), Int32Masks(), FullMapHeads(), FuseEpilogues(), MergeBranches(state),
        Segments(state),
    )  # fmt: skip
    if quantization is None:
        return (*lowered, PluginNodes(), Verify())
    # The fusions know nothing of quantised values, so what is one kernel is quantised as one.
    return (
        Int8Plan(quantization, state),
        *lowered,
        Int8Padding(state),
        Int8Maps(quantization, state),
        Int8Rows(quantization, state, floating),
        PluginNodes(),
        Verify(),
    )
