"""Where the inputs of region operators come from: dense maps, and regions at twice the stride."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass

import onnx

from lc_trt.ir.node_view import NodeView
from lc_trt.ir.operator_schema import is_region
from lc_trt.ir.region_ops import REGION_CONV, REGION_MAX_POOL, REGION_SELECT

Producers = Mapping[str, onnx.NodeProto]
_TO_LAST = [0, 2, 3, 1]


def map_of_rows(rows: str, producers: Producers) -> str | None:
    """The dense map whose cells are all rows of a tensor, in order.

    Args:
        rows: input of a region operator, [P, C].
        producers: producing node by tensor.

    Returns:
        A map [N, C, H, W]; None for rows of a region.
    """
    reshape = producers.get(rows)
    if reshape is None or (reshape.domain, reshape.op_type) != ("", "Reshape"):
        return None
    transpose = producers.get(NodeView(reshape).input("data"))
    if transpose is None or (transpose.domain, transpose.op_type) != ("", "Transpose"):
        return None
    view = NodeView(transpose)
    return view.input("data") if view.attributes().get("perm") == _TO_LAST else None


@dataclass(frozen=True)
class RepeatedIndex:
    """The index of a region, repeated for the children of its cells.

    Attributes:
        index: output of a RegionSelect.
        parents: row and column of each child's parent: int64 [H] and [W] of the children's map.
    """

    index: str
    parents: tuple[str, str]


def repeated_index(index: str, producers: Producers) -> RepeatedIndex | None:
    """How an index is made from that of a region at twice the stride.

    Args:
        index: input of a RegionRestrict, [N, H, W].
        producers: producing node by tensor.

    Returns:
        None for another index.
    """
    parents: list[str] = []
    for axis in (2, 1):
        gather = producers.get(index)
        if gather is None or (gather.domain, gather.op_type) != ("", "Gather"):
            return None
        view = NodeView(gather)
        if view.attribute("axis") != axis:
            return None
        parents.append(view.input("indices"))
        index = view.input("data")
    select = producers.get(index)
    if select is None or not is_region(select, REGION_SELECT):
        return None
    columns, rows = parents
    return RepeatedIndex(index, (rows, columns))


def has_exact_regions(model: onnx.ModelProto) -> bool:
    """Whether a pixel's result does not depend on which other pixels exit.

    True if every window of a region operator is one of a map that no region operator computes.

    Args:
        model: a cascade in exchange form.
    """
    producers = {output: node for node in model.graph.node for output in node.output}
    pools = [n for n in model.graph.node if is_region(n, REGION_MAX_POOL)]
    convs = [n for n in model.graph.node if is_region(n, REGION_CONV)]
    windows = [n for n in convs if set(NodeView(n).attribute("kernel_shape")) != {1}]
    for node in (*pools, *windows):
        dense = map_of_rows(NodeView(node).input("x"), producers)
        if dense is None or any(is_region(n) for n in _ancestors(dense, producers)):
            return False
    return bool(convs)


def _ancestors(name: str, producers: Producers) -> list[onnx.NodeProto]:
    found: dict[str, onnx.NodeProto] = {}
    todo = [name]
    while todo:
        node = producers.get(todo.pop())
        if node is not None and node.output[0] not in found:
            found[node.output[0]] = node
            todo.extend(node.input)
    return list(found.values())
