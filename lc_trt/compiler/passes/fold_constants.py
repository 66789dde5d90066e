"""Constant folding."""

from __future__ import annotations

from dataclasses import dataclass
from typing import ClassVar

import numpy as np
import onnx
from onnx.reference import ReferenceEvaluator

from lc_trt.compiler.graph import Array, Graph
from lc_trt.compiler.pass_manager import PassReport
from lc_trt.ir.interface import OPSET
from lc_trt.ir.node_view import NodeView

# Maximum elements of a folded tensor: a ConstantOfShape of a whole map would bloat the file.
LARGEST = 1 << 26


@dataclass(frozen=True)
class FoldConstants:
    """Replaces ``Shape`` of known sizes, and nodes with constant inputs only, by constants."""

    name: ClassVar[str] = "fold_constants"

    def apply(self, graph: Graph) -> PassReport:
        """Fold in topological order, so that readers of a folded node can be folded too.

        Constants can make more sizes known, of which the remaining ``Shape`` are folded.
        """
        report = self._fold(graph)
        while report.rewrites and any(map(_is_shape, graph.nodes)):
            graph.edited()
            again = self._fold(graph)
            if not again.rewrites:
                break
            report = PassReport(report.rewrites + again.rewrites, again.skipped)
        return report

    def _fold(self, graph: Graph) -> PassReport:
        report = PassReport()
        outputs = {output.name for output in graph.outputs}
        nodes: list[onnx.NodeProto] = []
        for node in graph.nodes:
            if not _is_constant(graph, node):
                nodes.append(node)
                continue
            reason = _reason_to_stay(graph, node, outputs)
            if reason is None:
                graph.constants[node.output[0]] = _value(graph, node)
                report.rewrites += 1
            else:
                report.skip(node, reason)
                nodes.append(node)
        graph.nodes = nodes
        return report


def _is_constant(graph: Graph, node: onnx.NodeProto) -> bool:
    """Whether a node computes a constant."""
    if node.domain != "":
        return False
    if _is_shape(node):
        return _known_shape(graph, node) is not None
    return all(name in graph.constants for name in node.input if name)


def _is_shape(node: onnx.NodeProto) -> bool:
    return (node.domain, node.op_type) == ("", "Shape")


def _known_shape(graph: Graph, node: onnx.NodeProto) -> list[int] | None:
    """The sizes that a Shape returns; None unless all are known."""
    view = NodeView(node)
    dims = graph.dims(view.input("data"))
    start, end = (view.attributes().get(name) for name in ("start", "end"))
    sizes = None if dims is None else [size for size in dims[start:end] if size is not None]
    return sizes if dims is not None and len(sizes or ()) == len(dims[start:end]) else None


def _reason_to_stay(graph: Graph, node: onnx.NodeProto, outputs: set[str]) -> str | None:
    if len(node.output) != 1:
        return "it has several outputs"
    if node.output[0] in outputs:
        return "it is an output of the model"
    if node.op_type == "DequantizeLinear":
        return "its integers are to be stored"
    if node.op_type.startswith("Random"):
        return "it is random"
    if any(a.HasField("g") for a in node.attribute):
        return "it has a subgraph"
    if node.op_type == "ConstantOfShape":
        size = int(np.prod(graph.constants[NodeView(node).input("input")]))
        if size > LARGEST:
            return f"its result has {size} elements, over {LARGEST}"
    return None


def _value(graph: Graph, node: onnx.NodeProto) -> Array:
    if _is_shape(node):
        return np.asarray(_known_shape(graph, node), np.int64)
    values = {name: graph.constants[name] for name in node.input if name}
    (result,) = ReferenceEvaluator(_single_node_model(node)).run(None, values)
    return np.asarray(result)


def _single_node_model(node: onnx.NodeProto) -> onnx.ModelProto:
    unknown = onnx.TypeProto()
    inputs = [
        onnx.helper.make_value_info(name, unknown) for name in dict.fromkeys(node.input) if name
    ]
    outputs = [onnx.helper.make_value_info(node.output[0], unknown)]
    graph = onnx.helper.make_graph([node], "alone", inputs, outputs)
    return onnx.helper.make_model(graph, opset_imports=[onnx.helper.make_opsetid("", OPSET)])
