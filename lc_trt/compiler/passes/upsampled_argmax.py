"""The classes of an upsampled map, without the upsampled map: faster in OpenVINO.

Its ArgMax sorts, and even as maxima (`argmax`) it goes over the upsampled map three times. Here
only the columns are interpolated on their own, by a product. Between two of the map's rows values
run straight, and OpenVINO fuses that with the comparison of two classes, so that of the
upsampled map just the largest value so far and its class are ever written.
"""

from __future__ import annotations

from functools import reduce
from typing import Any

import numpy as np
import onnx

from lc_trt.compiler.graph import Array, EditableGraph, attributes, static_shapes

_TOGETHER = 6  # classes compared in one go, then the best of each go


def argmax_of_upsampled(model: onnx.ModelProto) -> onnx.ModelProto:
    """Resize and ArgMax over classes -> interpolated rows, and the first of the largest.

    For a bilinear Resize (half-pixel) of one image [1, K, h, w] with known shapes to a multiple of
    h rows that only an ArgMax over axis 1 reads, without the axis kept. Equal to it but for
    rounding.
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
    return before[0] == 1 and before[1] > 1 and after[2] % before[2] == 0


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
    scale = rows // height
    nodes: list[onnx.NodeProto] = []

    def add(
        op_type: str, *inputs: str, name: str, at: onnx.NodeProto = argmax, **attrs: Any
    ) -> str:
        nodes.append(graph.make(op_type, inputs, f"{at.name}/{name}", **attrs))
        return str(nodes[-1].output[0])

    def const(name: str, value: Any, dtype: str, at: onnx.NodeProto = argmax) -> str:
        return graph.constant(f"{at.name}/{name}", value, dtype)

    def larger(a: tuple[str, str], b: tuple[str, str]) -> tuple[str, str]:
        """Of two (value, class) the one with the larger value, the first of equals."""
        second = add("Greater", b[0], a[0], name="second")
        return (
            add("Max", a[0], b[0], name="largest"),
            add("Where", second, b[1], a[1], name="best"),
        )

    # Bands of ``scale`` rows, from one of the map's rows to the next; both borders stand twice.
    # Of each class where its bands begin, then how far they rise.
    row = np.arange(height)
    begin, end = np.eye(height)[[0, *row]], np.eye(height)[[*row, height - 1]]
    ends = const("ends", np.concatenate([begin, end - begin]), "float32", resize)
    both = add("MatMul", ends, resize.input[0], name="both", at=resize)
    along = const("columns", interpolation(width, columns).T, "float32", resize)
    wide = add("MatMul", both, along, name="wide", at=resize)
    shape = const("bands", [1, 2 * classes, height + 1, 1, columns], "int64", resize)
    banded = add("Reshape", wide, shape, name="banded", at=resize)
    # Class by class in memory: OpenVINO splits that without a copy.
    maps = [graph.unique(f"{resize.name}/class{k}") for k in range(2 * classes)]
    nodes.append(
        graph.make(
            "Split", [banded], f"{resize.name}/split", outputs=maps, axis=1,
            num_outputs=2 * classes,
        )
    )  # fmt: skip
    # How far each row of a band is on its way (half-pixel).
    way = (np.arange(scale) + (0.5 if scale % 2 == 0 else 0.0)) / scale
    part = const("way", way.reshape(1, 1, 1, scale, 1), "float32", resize)
    best = []
    for k, (start, rise) in enumerate(zip(maps[::2], maps[1::2], strict=True)):
        risen = add("Mul", rise, part, name=f"risen{k}", at=resize)
        value = add("Add", start, risen, name=f"value{k}", at=resize)
        best.append((value, const(str(k), np.full((1, 1, 1, 1, 1), k), "float32")))
    while len(best) > 1:
        groups = [best[i : i + _TOGETHER] for i in range(0, len(best), _TOGETHER)]
        best = [reduce(larger, group) for group in groups]
    flat = const("flat", [1, (height + 1) * scale, columns], "int64")
    index = add("Reshape", best[0][1], flat, name="index")
    first = scale - scale // 2
    of = [const(name, [at], "int64") for name, at in (("from", first), ("to", first + rows))]
    cut = add("Slice", index, *of, const("axes", [1], "int64"), name="cut")
    output, kind = list(argmax.output), onnx.TensorProto.INT64
    nodes.append(graph.make("Cast", [cut], f"{argmax.name}/cast", outputs=output, to=kind))
    return nodes
