"""A factor, a residual and a ReLU after a region convolution become its epilogue."""

from __future__ import annotations

import onnx
from onnx import helper

from lc_trt.compiler.graph import EditableGraph, attributes
from lc_trt.compiler.lower_tensorrt.operators import (
    RESIDUAL,
    compact_tensors,
    has_residual,
    is_conv,
)


def fuse_epilogues(model: onnx.ModelProto) -> onnx.ModelProto:
    """``relu(residual + factor * conv)`` becomes one RegionConv, wherever nothing else reads
    what lies between. A sum of convolutions becomes a chain: each is the next one's residual.
    """
    graph = EditableGraph(model)
    compact = compact_tensors(graph.nodes)
    uses = graph.use_counts()
    convs: dict[str, onnx.NodeProto] = {}  # by their output; all that something may join yet
    kept: list[onnx.NodeProto] = []
    for node in graph.nodes:
        source = _joined(graph, node, convs, compact, uses)
        if source is None:
            kept.append(node)
            if is_conv(node) and not attributes(node).get("activation", 0):
                convs[node.output[0]] = node
            continue
        conv = convs.pop(source)
        # Here, not where it was: its residual may have been computed since.
        kept.remove(conv)
        kept.append(conv)
        conv.output[0] = node.output[0]
        if node.op_type != "Relu":
            convs[node.output[0]] = conv
    graph.nodes = kept
    return graph.model()


def _joined(
    graph: EditableGraph,
    node: onnx.NodeProto,
    convs: dict[str, onnx.NodeProto],
    compact: set[str],
    uses: dict[str, int],
) -> str | None:
    """Put a node into the convolution before it; the tensor between them, None if it stays."""
    if node.domain != "" or node.op_type not in ("Relu", "Mul", "Add"):
        return None
    # Of two convolutions that are added, the second takes the first as its residual.
    for at in reversed(range(len(node.input))):
        source = str(node.input[at])
        if source not in convs or uses[source] != 1:
            continue
        conv = convs[source]
        if node.op_type == "Relu":
            _set(conv, "activation", 1)
            return source
        other = node.input[1 - at]
        if has_residual(graph, conv):
            continue
        if node.op_type == "Add" and other in compact:
            conv.input[RESIDUAL] = other
            return source
        if node.op_type == "Mul" and other in graph.constants and graph.constants[other].size == 1:
            factor = float(graph.constants[other].item())
            _set(conv, "residual_scale", attributes(conv).get("residual_scale", 1.0) * factor)
            return source
    return None


def _set(node: onnx.NodeProto, name: str, value: float) -> None:
    kept = [a for a in node.attribute if a.name != name]
    del node.attribute[:]
    node.attribute.extend([*kept, helper.make_attribute(name, value)])
