"""The classes of an upsampled map, by two products and comparisons: faster in OpenVINO.

Its ArgMax sorts, and even as maxima (`argmax`) it goes over the upsampled map three times. A map
of one image that was upsampled by products lies class by class in memory, so that it is split
without a copy, and comparing two classes after the other is fused into a few kernels.
"""

from __future__ import annotations

from functools import reduce
from typing import Any

import numpy as np
import onnx

from lc_trt.compiler.graph import Array, EditableGraph, attributes, static_shapes

# A product has as many terms as the map has rows, where interpolation has two: beyond this many
# it is no longer the faster.
_MOST_ROWS = 96
_TOGETHER = 6  # classes compared in one go: OpenVINO's fused kernels take about twelve inputs


def argmax_of_upsampled(model: onnx.ModelProto) -> onnx.ModelProto:
    """Resize and ArgMax over classes -> products, and the first of the largest by comparison.

    For a bilinear Resize (half-pixel) of one image [1, K, h, w] with known shapes that only an
    ArgMax over axis 1 reads, without the axis kept. Equal to it but for rounding.
    """
    graph = EditableGraph(model)
    shapes = static_shapes(model)
    readers: dict[str, list[onnx.NodeProto]] = {}
    for node in graph.nodes:
        for name in node.input:
            readers.setdefault(name, []).append(node)
    kept = {output.name for output in graph.outputs}
    nodes: list[onnx.NodeProto] = []
    resized: dict[str, onnx.NodeProto] = {}
    for node in graph.nodes:
        after = readers.get(node.output[0], []) if node.output[0] not in kept else []
        if _is_bilinear(node, shapes, graph.constants) and len(after) == 1 and _is_argmax(after[0]):
            resized[node.output[0]] = node
        elif node.op_type == "ArgMax" and node.input[0] in resized:
            nodes += _compare(graph, resized[node.input[0]], node, shapes)
        else:
            nodes.append(node)
    graph.nodes = nodes
    return graph.model()


def _is_bilinear(
    node: onnx.NodeProto, shapes: dict[str, tuple[int, ...]], constants: dict[str, Array]
) -> bool:
    if node.op_type != "Resize" or node.domain:
        return False
    defaults = {
        "mode": b"nearest", "coordinate_transformation_mode": b"half_pixel", "antialias": 0,
        "axes": None, "keep_aspect_ratio_policy": b"stretch",
    }  # fmt: skip
    found = defaults | attributes(node)
    if any(found[name] != value for name, value in (defaults | {"mode": b"linear"}).items()):
        return False
    before, after = shapes.get(node.input[0], ()), shapes.get(node.output[0], ())
    if len(before) != 4 or len(after) != 4 or before[:2] != after[:2]:
        return False
    scales = constants.get(node.input[2]) if len(node.input) > 2 and node.input[2] else None
    if scales is not None and not np.array_equal(np.multiply(before, scales), after):
        return False  # rounded down: positions go by the scales then, not by both sizes
    return before[0] == 1 and before[1] > 1 and before[2] <= _MOST_ROWS


def _is_argmax(node: onnx.NodeProto) -> bool:
    found = attributes(node)
    return (
        node.op_type == "ArgMax" and node.domain == "" and found.get("axis", 0) == 1
        and found.get("keepdims", 1) == 0 and not found.get("select_last_index", 0)
    )  # fmt: skip


def interpolation(given: int, wanted: int) -> Array:
    """float32 [wanted, given]: the weights of bilinear interpolation along one axis.

    Output position y reads input position (y + 0.5) * given / wanted - 0.5, inside the borders
    (ONNX, Resize, half_pixel).
    """
    position = np.clip((np.arange(wanted) + 0.5) * given / wanted - 0.5, 0, given - 1)
    low = np.minimum(position.astype(int), max(given - 2, 0))
    weights = np.zeros((wanted, given))
    rows = np.arange(wanted)
    weights[rows, low] = 1 - (position - low)
    weights[rows, np.minimum(low + 1, given - 1)] += position - low
    return weights.astype(np.float32)


def _compare(
    graph: EditableGraph,
    resize: onnx.NodeProto,
    argmax: onnx.NodeProto,
    shapes: dict[str, tuple[int, ...]],
) -> list[onnx.NodeProto]:
    _, classes, height, width = shapes[resize.input[0]]
    rows, columns = shapes[resize.output[0]][2:]
    nodes: list[onnx.NodeProto] = []

    def add(
        op_type: str, *inputs: str, name: str, at: onnx.NodeProto = argmax, **attrs: Any
    ) -> str:
        nodes.append(graph.make(op_type, inputs, f"{at.name}/{name}", **attrs))
        return str(nodes[-1].output[0])

    def larger(a: tuple[str, str], b: tuple[str, str]) -> tuple[str, str]:
        """Of two (value, class) the one with the larger value, the first of equals."""
        second = add("Greater", b[0], a[0], name="second")
        return (
            add("Max", a[0], b[0], name="largest"),
            add("Where", second, b[1], a[1], name="best"),
        )

    along = graph.constant(f"{resize.name}/columns", interpolation(width, columns).T, "float32")
    down = graph.constant(f"{resize.name}/rows", interpolation(height, rows), "float32")
    wide = add("MatMul", resize.input[0], along, name="wide", at=resize)
    full = add("MatMul", down, wide, name="full", at=resize)
    maps = [graph.unique(f"{argmax.name}/class{k}") for k in range(classes)]
    nodes.append(
        graph.make(
            "Split", [full], f"{argmax.name}/split", outputs=maps, axis=1, num_outputs=classes
        )
    )
    best = [
        (name, graph.constant(f"{argmax.name}/{k}", np.full((1, 1, 1, 1), k), "float32"))
        for k, name in enumerate(maps)
    ]
    while len(best) > 1:
        groups = [best[i : i + _TOGETHER] for i in range(0, len(best), _TOGETHER)]
        best = [reduce(larger, group) for group in groups]
    axes = graph.constant(f"{argmax.name}/axes", [1], "int64")
    index = add("Squeeze", best[0][1], axes, name="index")
    output, kind = list(argmax.output), onnx.TensorProto.INT64
    nodes.append(graph.make("Cast", [index], f"{argmax.name}/cast", outputs=output, to=kind))
    return nodes
