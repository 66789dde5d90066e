"""Restrict UINT8 to inputs and outputs, where alone TensorRT supports it."""

from __future__ import annotations

from typing import ClassVar

import onnx
from onnx import TensorProto

from lc_trt.compiler.graph import Graph
from lc_trt.compiler.lower_tensorrt.operators import MOVED_INPUT, moved_input
from lc_trt.compiler.pass_manager import PassReport
from lc_trt.ir.node_view import NodeView


class Uint8Io:
    """Places Casts directly after UINT8 inputs and directly before UINT8 outputs.

    All readers of an input, such as ``Shape``, read its Cast. Operators after an output's Cast,
    such as a crop, move before it.
    """

    name: ClassVar[str] = "uint8_io"

    def apply(self, graph: Graph) -> PassReport:
        """Move Casts; the report counts inputs and outputs.

        Args:
            graph: graph to edit in place.
        """
        report = PassReport()
        for value in graph.inputs:
            if value.type.tensor_type.elem_type == TensorProto.UINT8:
                _cast_input(graph, value.name)
                report.rewrites += 1
        for value in graph.outputs:
            if value.type.tensor_type.elem_type == TensorProto.UINT8:
                report.rewrites += _cast_output(graph, value.name)
        return report


def _cast_input(graph: Graph, name: str) -> None:
    cast = graph.make("Cast", [name], f"input/{name}", to=TensorProto.FLOAT)
    renamed, nodes = {name: cast.output[0]}, []
    for node in graph.nodes:
        if _casts_to(node, TensorProto.FLOAT) and NodeView(node).input("input") == name:
            renamed[node.output[0]] = cast.output[0]
        else:
            nodes.append(node)
    graph.nodes = nodes
    graph.rename_uses(renamed)
    graph.nodes.insert(0, cast)


def _cast_output(graph: Graph, name: str) -> bool:
    """Move the Cast of an output to the end; return False if it is there already or missing."""
    edges = graph.edges()
    moves: list[onnx.NodeProto] = []
    node = edges.producers.get(name)
    while node is not None and moved_input(node) is not None and edges.uses[node.output[0]] == 1:
        moves.append(node)
        node = edges.producers.get(moved_input(node) or "")
    if node is None or not moves or not _casts_to(node, TensorProto.UINT8):
        return False
    if edges.uses[node.output[0]] != 1:
        return False
    first, last = moves[-1], moves[0]
    NodeView(first).set_input(MOVED_INPUT[first.op_type], NodeView(node).input("input"))
    last.output[0] = graph.unique(f"{name}/uncast")
    cast = graph.make("Cast", last.output, node.name, outputs=[name], to=TensorProto.UINT8)
    nodes: list[onnx.NodeProto] = []
    for other in graph.nodes:
        if other is not node:
            nodes += [other, cast] if other is last else [other]
    graph.nodes = nodes
    return True


def _casts_to(node: onnx.NodeProto, kind: int) -> bool:
    is_cast = node.op_type == "Cast" and node.domain == ""
    return is_cast and bool(NodeView(node).attribute("to") == kind)
