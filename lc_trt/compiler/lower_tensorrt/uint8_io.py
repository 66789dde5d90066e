"""UINT8 at the network's borders only: TensorRT knows it as type of inputs and outputs."""

from __future__ import annotations

import onnx
from onnx import TensorProto

from lc_trt.compiler.graph import EditableGraph, attributes

# What changes no value, so that a Cast may come after it.
_MOVES = ("Squeeze", "Unsqueeze", "Slice", "Reshape", "Transpose", "Identity", "Flatten")


def cast_at_borders(model: onnx.ModelProto) -> onnx.ModelProto:
    """Casts come right after UINT8 inputs and right before UINT8 outputs.

    What else reads an input, ``Shape`` for one, reads its cast. What an output's Cast is
    followed by, a crop for one, comes before the Cast.
    """
    graph = EditableGraph(model)
    for value in graph.inputs:
        if value.type.tensor_type.elem_type == TensorProto.UINT8:
            _cast_input(graph, value.name)
    for value in graph.outputs:
        if value.type.tensor_type.elem_type == TensorProto.UINT8:
            _cast_output(graph, value.name)
    return graph.model()


def _cast_input(graph: EditableGraph, name: str) -> None:
    cast = graph.make("Cast", [name], f"input/{name}", to=TensorProto.FLOAT)
    renamed, kept = {name: cast.output[0]}, []
    for node in graph.nodes:
        if _casts_to(node, TensorProto.FLOAT) and node.input[0] == name:
            renamed[node.output[0]] = cast.output[0]
        else:
            kept.append(node)
    graph.nodes = kept
    graph.rename_uses(renamed)
    graph.nodes.insert(0, cast)


def _cast_output(graph: EditableGraph, name: str) -> None:
    producers = {output: node for node in graph.nodes for output in node.output}
    uses = graph.use_counts()
    moves: list[onnx.NodeProto] = []
    node = producers[name]
    while node.op_type in _MOVES and node.domain == "" and uses[node.output[0]] == 1:
        moves.append(node)
        node = producers[node.input[0]]
    if not moves or not _casts_to(node, TensorProto.UINT8) or uses[node.output[0]] != 1:
        return
    moves[-1].input[0] = node.input[0]
    before = graph.unique(f"{name}/uncast")
    moves[0].output[0] = before
    graph.nodes.remove(node)
    cast = graph.make("Cast", [before], node.name, outputs=[name], to=TensorProto.UINT8)
    graph.nodes.insert(graph.nodes.index(moves[0]) + 1, cast)


def _casts_to(node: onnx.NodeProto, kind: int) -> bool:
    return node.op_type == "Cast" and node.domain == "" and attributes(node)["to"] == kind
