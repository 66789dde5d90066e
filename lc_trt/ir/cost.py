"""Multiply-accumulates of an exchange model, by stage."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from math import prod

import onnx

from lc_trt.ir.interface import DOMAIN
from lc_trt.ir.node_view import NodeView
from lc_trt.ir.operator_schema import is_region
from lc_trt.ir.provenance import map_of_rows
from lc_trt.ir.region_ops import REGION_CONV, REGION_GATHER, REGION_RESTRICT, REGION_SELECT
from lc_trt.ir.shapes import Shapes, static_shapes

PARTS = ("stage1", "head1", "stage2", "head2", "stage3", "head3")


@dataclass(frozen=True)
class StageMacs:
    """Multiply-accumulates of one image, as if every cell went through every part.

    A cell is a pixel of the map that a stage computes; stages may differ in stride.

    Attributes:
        stage1, head1, stage2, head2, stage3, head3: of each part.
        adds_head2: whether stage 3 adds the logits of head 2 to its own, as cascades on an encoder
            do. The dense network then has head 2 as well.
    """

    stage1: float = 0.0
    head1: float = 0.0
    stage2: float = 0.0
    head2: float = 0.0
    stage3: float = 0.0
    head3: float = 0.0
    adds_head2: bool = False

    def parts(self) -> dict[str, float]:
        """Multiply-accumulates by part."""
        return {name: getattr(self, name) for name in PARTS}

    @property
    def dense(self) -> float:
        """The dense network: all stages, and the heads that its output needs."""
        head2 = self.head2 if self.adds_head2 else 0.0
        return self.stage1 + self.stage2 + head2 + self.stage3 + self.head3

    def at(self, share2: float, share3: float) -> float:
        """The cascade, when only some cells reach its later stages.

        Args:
            share2: share (0..1) of its cells that stage 2 computes.
            share3: the same of stage 3.
        """
        return (
            self.stage1
            + self.head1
            + share2 * (self.stage2 + self.head2)
            + share3 * (self.stage3 + self.head3)
        )


def stage_macs(model: onnx.ModelProto, size: tuple[int, int]) -> StageMacs:
    """Multiply-accumulates of a cascade for one image, by stage.

    A region convolution belongs to the stage of the RegionSelect its rows come from, a dense
    one to stage 1. In a stage, what a later stage does not read is its head, and so is a head whose
    logits the next stage adds to its own.

    Args:
        model: a cascade in exchange form.
        size: (height, width) in pixels.
    """
    costs = _macs(model, size)
    producers = {o: n for n in model.graph.node for o in n.output}
    selects = [n for n in model.graph.node if is_region(n, REGION_SELECT)]
    stage_of_rows = {NodeView(n).output("rows"): i for i, n in enumerate(selects, start=2)}
    entries = [
        NodeView(n).input("x")
        for n in model.graph.node
        if is_region(n, REGION_GATHER, REGION_RESTRICT)
        or (is_region(n, REGION_CONV) and map_of_rows(NodeView(n).input("x"), producers))
    ]
    trunk = {n.name for entry in entries for n in _feature_ancestors(entry, producers)}
    totals = dict.fromkeys(PARTS, 0.0)
    adds_head2 = False
    for node in model.graph.node:
        cost = costs.get(node.name, 0.0)
        if not cost:
            continue
        stage = stage_of_rows[NodeView(node).input("rows")] if is_region(node) else 1
        # Nothing reads stage 3's trunk but its head, and stage 3 may read head 2: there the
        # exporter's name tells.
        named = node.name.startswith(f"head{stage}/")
        in_head = named or (stage < 3 and node.name not in trunk)
        adds_head2 |= stage == 2 and named and node.name in trunk
        totals[f"{'head' if in_head else 'stage'}{stage}"] += cost
    return StageMacs(**totals, adds_head2=adds_head2)


def dense_macs(model: onnx.ModelProto, size: tuple[int, int]) -> float:
    """Multiply-accumulates of a dense model for one image.

    Args:
        model: a dense network in exchange form.
        size: (height, width) in pixels.
    """
    return sum(_macs(model, size).values())


def _feature_ancestors(name: str, producers: dict[str, onnx.NodeProto]) -> list[onnx.NodeProto]:
    ancestors: dict[str, onnx.NodeProto] = {}
    todo = [name]
    while todo:
        node = producers.get(todo.pop())
        if node is not None and node.name not in ancestors:
            ancestors[node.name] = node
            # A region operator's features only: its rows come from a head, which is no trunk.
            todo.extend([NodeView(node).input("x")] if is_region(node) else node.input)
    return list(ancestors.values())


def _macs(model: onnx.ModelProto, size: tuple[int, int]) -> dict[str, float]:
    """Multiply-accumulates by node name."""
    shapes = static_shapes(model, size)
    shapes.update((t.name, tuple(t.dims)) for t in model.graph.initializer)
    selects = [NodeView(node) for node in model.graph.node if is_region(node, REGION_SELECT)]
    cells = {s.output("rows"): prod(shapes[s.input("confidence")]) for s in selects}
    costs: dict[str, float] = {}
    for node in model.graph.node:
        if is_region(node, REGION_CONV):
            view = NodeView(node)
            weights = prod(shapes[view.input("weight")])
            costs[node.name] = float(cells[view.input("rows")] * weights)
        elif node.domain != DOMAIN and node.op_type in _STANDARD:
            costs[node.name] = float(_STANDARD[node.op_type](NodeView(node), shapes))
    return costs


def _conv(node: NodeView, shapes: Shapes) -> int:
    return prod(shapes[node.output("Y")]) * prod(shapes[node.input("W")][1:])


def _conv_transpose(node: NodeView, shapes: Shapes) -> int:
    return prod(shapes[node.input("X")]) * prod(shapes[node.input("W")][1:])


def _matmul(node: NodeView, shapes: Shapes) -> int:
    return prod(shapes[node.output("Y")]) * shapes[node.input("A")][-1]


def _gemm(node: NodeView, shapes: Shapes) -> int:
    depth = 0 if node.attribute("transA") else 1
    return prod(shapes[node.output("Y")]) * shapes[node.input("A")][depth]


_STANDARD: dict[str, Callable[[NodeView, Shapes], int]] = {
    "Conv": _conv,
    "ConvTranspose": _conv_transpose,
    "MatMul": _matmul,
    "Gemm": _gemm,
}
