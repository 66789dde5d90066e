"""Fix the batch and the image size, then compute what no longer depends on an input."""

from __future__ import annotations

import numpy as np
import onnx
from onnx.reference import ReferenceEvaluator

from lc_trt.compiler.graph import Array, EditableGraph, attributes, static_shapes
from lc_trt.ir.interface import DOMAIN

# A folded tensor larger than this would bloat the file: a ConstantOfShape of a whole map, say.
LARGEST = 1 << 26


def freeze(
    model: onnx.ModelProto, batch: int | None, size: tuple[int, int] | None
) -> onnx.ModelProto:
    """Give ``image`` the fixed shape [batch, height, width, 3], and ``labels`` theirs.

    Args:
        batch, size: None leaves these dimensions as they are.
    """
    given = (batch, *(size or (None, None)))
    frozen = onnx.ModelProto()
    frozen.CopyFrom(model)
    for value in frozen.graph.input:
        if value.name == "image":
            _fix(value, (*given, 3))
    del frozen.graph.value_info[:]
    for value in frozen.graph.output:
        _fix(value, given if value.name == "labels" else given[:1])
    return frozen


def _fix(value: onnx.ValueInfoProto, sizes: tuple[int | None, ...]) -> None:
    """Set the leading dimensions that have a size."""
    for dim, size in zip(value.type.tensor_type.shape.dim, sizes, strict=False):
        if size is not None:
            dim.Clear()
            dim.dim_value = size


def fold_constants(model: onnx.ModelProto) -> onnx.ModelProto:
    """Replace ``Shape`` of known shapes, and nodes with constant inputs only, by constants."""
    graph = EditableGraph(model)
    shapes = static_shapes(model)
    kept: list[onnx.NodeProto] = []
    for node in graph.nodes:
        value = _folded(node, graph, shapes)
        if value is None:
            kept.append(node)
        else:
            graph.constants[node.output[0]] = value
            shapes[node.output[0]] = value.shape
    graph.nodes = kept
    return graph.model()


def _folded(
    node: onnx.NodeProto, graph: EditableGraph, shapes: dict[str, tuple[int, ...]]
) -> Array | None:
    if node.domain == DOMAIN or len(node.output) != 1 or node.op_type == "DequantizeLinear":
        return None  # a decoded weight has to stay an integer
    if any(output.name == node.output[0] for output in graph.outputs):
        return None
    if any(a.HasField("g") for a in node.attribute):
        return None
    if node.op_type == "Shape" and node.input[0] in shapes:
        found = attributes(node)
        dims = shapes[node.input[0]][found.get("start", 0) : found.get("end")]
        return np.asarray(dims, np.int64)
    if node.op_type.startswith("Random") or not all(
        name in graph.constants for name in node.input if name
    ):
        return None
    values = {name: graph.constants[name] for name in node.input if name}
    if node.op_type == "ConstantOfShape" and np.prod(values[node.input[0]]) > LARGEST:
        return None
    (result,) = ReferenceEvaluator(_alone(node)).run(None, values)
    return np.asarray(result)


def _alone(node: onnx.NodeProto) -> onnx.ModelProto:
    unknown = onnx.TypeProto()
    inputs = [
        onnx.helper.make_value_info(name, unknown) for name in dict.fromkeys(node.input) if name
    ]
    outputs = [onnx.helper.make_value_info(node.output[0], unknown)]
    graph = onnx.helper.make_graph([node], "alone", inputs, outputs)
    return onnx.helper.make_model(graph, opset_imports=[onnx.helper.make_opsetid("", 18)])
