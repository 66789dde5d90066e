"""ArgMax over classes as maxima: OpenVINO sorts for it, which takes twice as long."""

from __future__ import annotations

from typing import Any

import numpy as np
import onnx

from lc_trt.compiler.graph import EditableGraph, attributes, static_shapes


def argmax_by_maxima(model: onnx.ModelProto) -> onnx.ModelProto:
    """``argmax(x)`` = K - max over k of (K - k where x_k is the maximum): the first of equals.

    For ArgMax over axis 1 of a map [N, K, H, W] whose K is known, without the axis kept. All
    NaN gives the last class, where ArgMax's own answer is as arbitrary.
    """
    graph = EditableGraph(model)
    shapes = static_shapes(model)
    nodes: list[onnx.NodeProto] = []
    for node in graph.nodes:
        found = attributes(node) if node.op_type == "ArgMax" and node.domain == "" else {}
        shape = shapes.get(node.input[0], ()) if found else ()
        plain = found.get("axis", 0) == 1 and found.get("keepdims", 1) == 0
        if len(shape) == 4 and plain and not found.get("select_last_index", 0):
            nodes += _maxima(graph, node, shape[1])
        else:
            nodes.append(node)
    graph.nodes = nodes
    return graph.model()


def _maxima(graph: EditableGraph, node: onnx.NodeProto, count: int) -> list[onnx.NodeProto]:
    p, x = node.name, node.input[0]
    axes = graph.constant(f"{p}/axes", [1], "int64")
    ranks = np.arange(count, 0, -1).reshape(1, count, 1, 1)
    constants = [
        graph.constant(f"{p}/{name}", value, "float32")
        for name, value in (
            ("ranks", ranks),
            ("zero", np.zeros((1, 1, 1, 1))),
            ("count", count),
            ("last", count - 1),
        )
    ]
    nodes: list[onnx.NodeProto] = []

    def add(op_type: str, *inputs: str, name: str, **attrs: Any) -> str:
        nodes.append(graph.make(op_type, inputs, f"{p}/{name}", **attrs))
        return str(nodes[-1].output[0])

    best = add("ReduceMax", x, axes, name="best", keepdims=1)
    is_best = add("GreaterOrEqual", x, best, name="is_best")
    rank = add("Where", is_best, constants[0], constants[1], name="rank")
    highest = add("ReduceMax", rank, axes, name="highest", keepdims=0)
    first = add("Min", add("Sub", constants[2], highest, name="first"), constants[3], name="index")
    output, kind = list(node.output), onnx.TensorProto.INT64
    nodes.append(graph.make("Cast", [first], f"{p}/cast", outputs=output, to=kind))
    return nodes
