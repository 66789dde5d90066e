"""What the passes of this package know of the region operators."""

from __future__ import annotations

from collections.abc import Collection, Iterable

import onnx

from lc_trt.compiler.graph import EditableGraph
from lc_trt.ir.interface import DOMAIN

# Where a RegionConv with one x has its inputs; rows, index and count stand between x and weight.
WEIGHT, BIAS, RESIDUAL = 4, 5, 6

# Their first output is compact: under TensorRT as long as the map has pixels, valid up to count.
_COMPACT = (
    "RegionSelect", "RegionGather", "RegionRestrict", "RegionConv", "RegionMaxPool",
    "RegionQuantize",
)  # fmt: skip
# While passes run, marks the region convolutions that are to become INT8.
INTEGER = "integer"


def is_region(node: onnx.NodeProto, *op_types: str) -> bool:
    """Whether a node is one of these region operators (any, if none is named)."""
    return node.domain == DOMAIN and (not op_types or node.op_type in op_types)


def is_conv(node: onnx.NodeProto) -> bool:
    """Whether a node is a RegionConv."""
    return is_region(node, "RegionConv")


def mark_integer(model: onnx.ModelProto, outputs: Collection[str]) -> onnx.ModelProto:
    """The model with `INTEGER` on the region convolutions that make these tensors."""
    graph = EditableGraph(model)
    for node in graph.nodes:
        if is_conv(node) and node.output[0] in outputs:
            node.attribute.append(onnx.helper.make_attribute(INTEGER, 1))
    return graph.model()


def has_residual(graph: EditableGraph, conv: onnx.NodeProto) -> bool:
    """Whether a RegionConv adds anything: zeros [1, 1] stand for no residual."""
    value = graph.constants.get(conv.input[RESIDUAL])
    return value is None or value.shape != (1, 1) or bool(value.any())


def compact_tensors(nodes: Iterable[onnx.NodeProto]) -> set[str]:
    """Tensors of one entry a pixel of a region, and those that standard operators make of them."""
    found: set[str] = set()
    for node in nodes:
        if is_region(node, *_COMPACT):
            found.add(node.output[0])
        elif not is_region(node) and node.op_type != "Shape" and found & set(node.input):
            found.update(node.output)
    return found
