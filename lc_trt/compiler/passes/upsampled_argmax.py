"""ArgMax of an upsampled map without storing the upsampled map: faster in OpenVINO.

OpenVINO's ArgMax sorts, and as maxima (`argmax_as_max`) it still reads the upsampled map thrice.
Here, groups of columns are interpolated by a matrix product. Interpolation between rows is linear,
and OpenVINO fuses it with the comparison of two classes, so that only the running maximum and its
class are stored at the upsampled size.
"""

from __future__ import annotations

from functools import reduce
from typing import Any, ClassVar

import numpy as np
import onnx

from lc_trt.compiler.graph import Array, Edges, Graph
from lc_trt.compiler.passes.argmax_as_max import is_argmax, reason_not_per_pixel
from lc_trt.compiler.rewrite import RewriteRule
from lc_trt.ir.node_view import NodeView

_GROUP = 6  # classes compared in one chain; then the best of each group
_COLUMNS = 8  # about as many columns are interpolated by one product
# Attributes of the Resize that `interpolation` computes.
_BILINEAR = {
    "mode": b"linear", "coordinate_transformation_mode": b"half_pixel", "antialias": 0,
    "keep_aspect_ratio_policy": b"stretch",
}  # fmt: skip


class UpsampledArgMax(RewriteRule):
    """Replaces Resize and ArgMax over classes by interpolated rows and pairwise comparisons.

    Applies to a bilinear Resize (half-pixel) of one image [1, K, h, w] of fixed size to a multiple
    of h rows, read only by an ArgMax over axis 1 without ``keepdims``. Results are equal up to
    rounding.
    """

    name: ClassVar[str] = "upsampled_argmax"

    def pattern(self, node: onnx.NodeProto) -> bool:
        """An ArgMax."""
        return is_argmax(node)

    def check(self, graph: Graph, edges: Edges, node: onnx.NodeProto) -> str | None:
        """It must be the only reader of a Resize."""
        data = NodeView(node).input("data")
        resize = edges.producers.get(data)
        if resize is None or (resize.domain, resize.op_type) != ("", "Resize"):
            return "it does not read a Resize"
        if edges.uses[data] != 1:
            return f"{resize.name!r} before it is read {edges.uses[data]} times"
        return reason_not_per_pixel(node) or _reason_not_bilinear(graph, resize)

    def rewrite(self, graph: Graph, edges: Edges, node: onnx.NodeProto) -> list[onnx.NodeProto]:
        """Replace both by comparisons of interpolated rows."""
        resize = edges.producers[NodeView(node).input("data")]
        graph.expanded[resize.name] = resize.op_type
        return _compare(graph, resize, node)


def _reason_not_bilinear(graph: Graph, resize: onnx.NodeProto) -> str | None:
    view, p = NodeView(resize), f"{resize.name!r} before it"
    own = view.attributes()
    if own.get("axes") is not None or any(own[name] != _BILINEAR[name] for name in _BILINEAR):
        return f"{p} is not bilinear with half-pixel coordinates"
    before, after = (graph.shape(name) or () for name in (view.input("X"), resize.output[0]))
    if len(before) != 4 or len(after) != 4:
        return f"the sizes of {p} are not fixed"
    if before[0] != 1:
        return f"{p} has a batch of {before[0]}, not 1"
    if before[1] != after[1] or after[0] != 1:
        return f"{p} also resizes the classes"
    scales = graph.constants.get(view.input("scales"))
    if scales is not None and not np.array_equal(np.multiply(before, scales), after):
        # With rounded sizes, positions depend on the scales instead.
        return f"{p} has scales that are not the ratio of the sizes"
    if before[1] < 2:
        return "there is only one class"
    if after[2] % before[2]:
        return f"{p} resizes {before[2]} rows to {after[2]}, not a multiple"
    return None


def interpolation(size: int, resized: int) -> Array:
    """Weights of bilinear interpolation along one axis, float32 [resized, size].

    Output position y reads input position (y + 0.5) * size / resized - 0.5, clipped to the borders
    (ONNX, Resize, half_pixel).

    Args:
        size: number of input positions.
        resized: number of output positions.
    """
    position = np.clip((np.arange(resized) + 0.5) * size / resized - 0.5, 0, size - 1)
    low = np.minimum(position.astype(int), max(size - 2, 0))
    weights = np.zeros((resized, size))
    rows = np.arange(resized)
    weights[rows, low] = 1 - (position - low)
    weights[rows, np.minimum(low + 1, size - 1)] += position - low
    return weights.astype(np.float32)


def column_group(width: int, columns: int) -> int:
    """How many columns are interpolated together: a divisor of the width, near ``_COLUMNS``.

    Args:
        width: number of input columns.
        columns: number of output columns; all are interpolated together unless it is a multiple.
    """
    if columns % width:
        return width
    divisors = [g for g in range(1, width + 1) if width % g == 0]
    return min(divisors, key=lambda g: max(g, _COLUMNS) / min(g, _COLUMNS))


def _group_interpolation(group: int, scale: int) -> Array:
    """Interpolation of a group of columns, float32 [1 + group + 1, group * scale].

    The first and the last of its inputs are neighbours of the group.
    """
    weights = interpolation(group + 2, (group + 2) * scale)
    return weights[scale:-scale].T


def _compare(graph: Graph, resize: onnx.NodeProto, argmax: onnx.NodeProto) -> list[onnx.NodeProto]:
    x = NodeView(resize).input("X")
    _, classes, height, width = graph.shape(x) or ()
    rows, columns = (graph.shape(resize.output[0]) or ())[2:]
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
        """The (value, class) pair with the larger value; the first of equals."""
        second = add("Greater", b[0], a[0], name="second")
        return (
            add("Max", a[0], b[0], name="largest"),
            add("Where", second, b[1], a[1], name="best"),
        )

    # Bands of ``scale`` rows between adjacent rows of the map, with both borders repeated. For each
    # class, the first values of its bands, then their differences to the last.
    row = np.arange(height)
    begin, end = np.eye(height)[[0, *row]], np.eye(height)[[*row, height - 1]]
    ends = const("ends", np.concatenate([begin, end - begin]), "float32", resize)
    group = column_group(width, columns)
    weights = interpolation(width, columns).T
    if group < width:
        # Each group with its two neighbours: many small products instead of a large one with zeros.
        inside = np.arange(0, width, group)[:, None] + np.arange(-1, group + 1)
        with_neighbours = const("neighbours", inside.clip(0, width - 1).ravel(), "int64", resize)
        x = add("Gather", x, with_neighbours, name="grouped", at=resize, axis=3)
        weights = _group_interpolation(group, columns // width)
    both = add("MatMul", ends, x, name="both", at=resize)
    if group < width:
        products = 2 * classes * (height + 1) * (width // group)
        grouped = const("groups", [products, group + 2], "int64", resize)
        both = add("Reshape", both, grouped, name="groups", at=resize)
    along = const("columns", weights, "float32", resize)
    wide = add("MatMul", both, along, name="wide", at=resize)
    shape = const("bands", [1, 2 * classes, height + 1, 1, columns], "int64", resize)
    banded = add("Reshape", wide, shape, name="banded", at=resize)
    # Contiguous per class, so that OpenVINO splits without a copy.
    maps = [graph.unique(f"{resize.name}/class{k}") for k in range(2 * classes)]
    nodes.append(
        graph.make(
            "Split", [banded], f"{resize.name}/split", outputs=maps, axis=1,
            num_outputs=2 * classes,
        )
    )  # fmt: skip
    # Relative position of each row in its band (half-pixel).
    way = (np.arange(scale) + (0.5 if scale % 2 == 0 else 0.0)) / scale
    part = const("way", way.reshape(1, 1, 1, scale, 1), "float32", resize)
    best = []
    for k, (start, rise) in enumerate(zip(maps[::2], maps[1::2], strict=True)):
        risen = add("Mul", rise, part, name=f"risen{k}", at=resize)
        value = add("Add", start, risen, name=f"value{k}", at=resize)
        best.append((value, const(str(k), np.full((1, 1, 1, 1, 1), k), "float32")))
    while len(best) > 1:
        groups = [best[i : i + _GROUP] for i in range(0, len(best), _GROUP)]
        best = [reduce(larger, group) for group in groups]
    flat = const("flat", [1, (height + 1) * scale, columns], "int64")
    index = add("Reshape", best[0][1], flat, name="index")
    first = scale - scale // 2
    of = [const(name, [at], "int64") for name, at in (("from", first), ("to", first + rows))]
    cut = add("Slice", index, *of, const("axes", [1], "int64"), name="cut")
    output, kind = list(argmax.output), onnx.TensorProto.INT64
    nodes.append(graph.make("Cast", [cut], f"{argmax.name}/cast", outputs=output, to=kind))
    return nodes
