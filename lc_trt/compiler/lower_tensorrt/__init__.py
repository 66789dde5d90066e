"""Lowering of region operators to our TensorRT plugins; no other layers operate on rows.

In TensorRT, a tensor of region rows is allocated for every pixel of the map, and only the device
knows the number of valid rows. Plugins process valid rows only; TensorRT's own layers would process
the whole buffer. All operations on rows therefore become part of plugins, mostly of RegionConv, or
move behind RegionScatter, onto the map.

The result is ONNX as well, and ONNX Runtime can run it through the function bodies.
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
from lc_trt.compiler.lower_tensorrt.own_rows import OwnRows
from lc_trt.compiler.lower_tensorrt.plugin_nodes import PluginNodes
from lc_trt.compiler.lower_tensorrt.segments import Segments
from lc_trt.compiler.lower_tensorrt.uint8_io import Uint8Io
from lc_trt.compiler.lower_tensorrt.verify import Verify
from lc_trt.compiler.options import Quantization
from lc_trt.compiler.pass_manager import Pass
from lc_trt.ir.operator_schema import OutputType

__all__ = ["lower_tensorrt"]


def lower_tensorrt(
    quantization: Quantization | None = None, floating: OutputType = OutputType.FP32
) -> tuple[Pass, ...]:
    """Passes that lower a model, cascade or dense, for TensorRT.

    Sizes may be symbolic. Constants and batch norms must be folded before. The passes share state,
    so use them for one model only.

    Args:
        quantization: ranges for INT8; None for FP32.
        floating: output type of INT8 region convolutions with floating-point readers.

    Returns:
        Passes in order. They raise LcTrtError if an operation on rows is not supported by a plugin
        (the message names the node), or if a tensor has no INT8 range.
    """
    state = LoweringState()
    # Heads on the map read masks, which are INT32 after that. Epilogues come before merging, which
    # compares them; segments resolve the Splits of merging.
    lowered = (
        Uint8Io(), FullMapHeads(), Int32Masks(), OwnRows(), FuseEpilogues(), MergeBranches(state),
        Segments(state),
    )  # fmt: skip
    if quantization is None:
        return (*lowered, PluginNodes(), Verify())
    # Quantised after the fusions, so that each fused kernel is quantised as a unit.
    return (
        Int8Plan(quantization, state),
        *lowered,
        Int8Padding(state),
        Int8Maps(quantization, state),
        Int8Rows(quantization, state, floating),
        PluginNodes(),
        Verify(),
    )
