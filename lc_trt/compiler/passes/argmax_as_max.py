"""ArgMax over classes as maxima: OpenVINO's ArgMax sorts, which takes twice as long."""

from __future__ import annotations

from typing import Any, ClassVar

import numpy as np
import onnx

from lc_trt.compiler.graph import Edges, Graph
from lc_trt.compiler.rewrite import RewriteRule
from lc_trt.ir.node_view import NodeView


class ArgMaxAsMax(RewriteRule):
    """``argmax(x)`` = K - max over k of (K - k if x_k is the maximum): the first of equal classes.

    Applies to ArgMax over axis 1 of a map [N, K, H, W] of fixed size, without ``keepdims``. If all
    classes are NaN, the result is the last class; that of ArgMax is arbitrary as well.
    """

    name: ClassVar[str] = "argmax_as_max"

    def pattern(self, node: onnx.NodeProto) -> bool:
        """An ArgMax."""
        return is_argmax(node)

    def check(self, graph: Graph, edges: Edges, node: onnx.NodeProto) -> str | None:
        """It must return one class per pixel of a map."""
        del edges
        if len(graph.shape(NodeView(node).input("data")) or ()) != 4:
            return "its input is not known to be a map of fixed size"
        return reason_not_per_pixel(node)

    def rewrite(self, graph: Graph, edges: Edges, node: onnx.NodeProto) -> list[onnx.NodeProto]:
        """Maxima over the classes, and over the ranks of the largest ones."""
        del edges
        p, x = node.name, NodeView(node).input("data")
        count = (graph.shape(x) or ())[1]
        axes = graph.constant(f"{p}/axes", [1], "int64")
        ranks, zero, number, last = (
            graph.constant(f"{p}/{name}", value, "float32")
            for name, value in (
                ("ranks", np.arange(count, 0, -1).reshape(1, count, 1, 1)),
                ("zero", np.zeros((1, 1, 1, 1))),
                ("count", count),
                ("last", count - 1),
            )
        )
        nodes: list[onnx.NodeProto] = []

        def add(op_type: str, *inputs: str, name: str, **attrs: Any) -> str:
            nodes.append(graph.make(op_type, inputs, f"{p}/{name}", **attrs))
            return str(nodes[-1].output[0])

        best = add("ReduceMax", x, axes, name="best", keepdims=1)
        is_best = add("GreaterOrEqual", x, best, name="is_best")
        rank = add("Where", is_best, ranks, zero, name="rank")
        highest = add("ReduceMax", rank, axes, name="highest", keepdims=0)
        first = add("Min", add("Sub", number, highest, name="first"), last, name="index")
        output, kind = list(node.output), onnx.TensorProto.INT64
        nodes.append(graph.make("Cast", [first], f"{p}/cast", outputs=output, to=kind))
        return nodes


def is_argmax(node: onnx.NodeProto) -> bool:
    """Whether a node is an ArgMax.

    Args:
        node: node of any operator.
    """
    return (node.domain, node.op_type) == ("", "ArgMax")


def reason_not_per_pixel(node: onnx.NodeProto) -> str | None:
    """Why an ArgMax does not return the first largest class per pixel; None if it does.

    Args:
        node: an ArgMax.
    """
    view = NodeView(node)
    if view.attribute("axis") != 1:
        return f"it is over axis {view.attribute('axis')}, not over classes"
    if view.attribute("keepdims"):
        return "it keeps the axis"
    if view.attribute("select_last_index"):
        return "it takes the last of equal classes"
    return None
