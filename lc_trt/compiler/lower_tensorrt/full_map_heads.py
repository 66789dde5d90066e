"""Move softmax and confidence behind RegionScatter, onto the map.

On rows, they would be TensorRT's own layers, which ignore the count and process a row for every
pixel of the map. Both are per-pixel operations, so they commute with RegionScatter.
"""

from __future__ import annotations

from typing import ClassVar

import onnx

from lc_trt.compiler.graph import Graph
from lc_trt.compiler.pass_manager import PassReport
from lc_trt.ir.node_view import NodeView
from lc_trt.ir.operator_schema import is_region
from lc_trt.ir.region_ops import REGION_SCATTER, REGION_SELECT


class FullMapHeads:
    """Replaces ``scatter(softmax(x), softmax(y))`` by ``softmax(scatter(x, y))``.

    Where the map is no softmax, or the logits have a factor,
    ``scatter(softmax(factor * x), y)`` becomes
    ``where(hard, softmax(factor * scatter(x, y)), y)``. The maximum of probabilities becomes that
    of the merged ones, in the region only if the map is none of the others.
    """

    name: ClassVar[str] = "full_map_heads"

    def apply(self, graph: Graph) -> PassReport:
        """Move both; the report counts RegionScatter nodes.

        Args:
            graph: graph to edit in place.
        """
        return _Heads(graph).run()


class _Heads:
    def __init__(self, graph: Graph) -> None:
        self.graph, self.report = graph, PassReport()
        self.producers = graph.edges().producers
        self.softmaxes: dict[str, NodeView] = {}  # by their output
        self.maxima: dict[str, NodeView] = {}
        self.masks: dict[str, str] = {}  # `hard` of a region by its rows
        # Merged probabilities, and the map that they were merged into, by rows and x.
        self.merged: dict[tuple[str, str], tuple[str, str]] = {}

    def run(self) -> PassReport:
        nodes: list[onnx.NodeProto] = []
        for node in self.graph.nodes:
            if is_region(node, REGION_SCATTER):
                nodes += self.scatter(NodeView(node))
                continue
            if is_region(node, REGION_SELECT):
                select = NodeView(node)
                self.masks[select.output("rows")] = select.output("hard")
            elif node.domain == "" and node.op_type == "Softmax":
                view = NodeView(node)
                if view.attribute("axis") == 1:
                    self.softmaxes[view.output("output")] = view
            elif node.domain == "" and node.op_type == "ReduceMax":
                view = NodeView(node)
                if self.over_channels(view):
                    self.maxima[view.output("reduced")] = view
            nodes.append(node)
        self.graph.nodes = nodes
        return self.report

    def over_channels(self, node: NodeView) -> bool:
        axes = self.graph.constants.get(node.input("axes"))
        return bool(node.attribute("keepdims")) and axes is not None and axes.tolist() == [1]

    def scatter(self, scatter: NodeView) -> list[onnx.NodeProto]:
        x, rows, base = (scatter.input(name) for name in ("x", "rows", "base"))
        if x in self.softmaxes:
            logits, factors = self.factored(self.softmaxes[x].input("input"))
            self.merged[rows, x] = scatter.output("y"), base
            if base in self.softmaxes and not factors:
                self.report.rewrites += 1
                return self.merge_logits(scatter, logits, self.softmaxes[base].input("input"))
            if rows in self.masks:
                self.report.rewrites += 1
                return self.choose(scatter, logits, factors, self.masks[rows])
        elif x in self.maxima and (rows, self.maxima[x].input("data")) in self.merged:
            largest = self.maxima[x]
            merged, into = self.merged[rows, largest.input("data")]
            other = self.maxima.get(base)
            same = other is not None and other.input("data") == into
            if same or rows in self.masks:
                self.report.rewrites += 1
                over = [merged, largest.input("axes")]
                return self.maximum(scatter, over, None if same else self.masks[rows])
        self.report.skip(scatter.node, "its input is neither a Softmax nor the maximum of one")
        return [scatter.node]

    def factored(self, logits: str) -> tuple[str, list[str]]:
        """Rows of logits without the constant factors that they are multiplied by, and these."""
        factors: list[str] = []
        while (node := self.producers.get(logits)) is not None and node.op_type == "Mul":
            mul = NodeView(node)
            operands = [mul.input("A"), mul.input("B")]
            constant = [n for n in operands if n in self.graph.constants]
            if len(constant) != 1 or self.graph.constants[constant[0]].size != 1:
                break
            factors += constant
            (logits,) = (name for name in operands if name not in constant)
        return logits, factors

    def merge_logits(self, scatter: NodeView, logits: str, base: str) -> list[onnx.NodeProto]:
        """Scatter logits into logits, and take one softmax of all."""
        y, name = scatter.output("y"), scatter.node.name
        written = self.written(scatter, logits, base)
        softmax = self.graph.make("Softmax", written.output, name, outputs=[y], axis=1)
        self.softmaxes[y] = NodeView(softmax)
        return [written, softmax]

    def choose(
        self, scatter: NodeView, logits: str, factors: list[str], hard: str
    ) -> list[onnx.NodeProto]:
        """Take the softmax of a whole map, of which the region's pixels are used."""
        y, name, base = scatter.output("y"), scatter.node.name, scatter.input("base")
        # Values outside the region are not used, so any map can be written into.
        nodes = [self.written(scatter, logits, base)]
        for factor in factors:
            operands = [nodes[-1].output[0], factor]
            nodes.append(self.graph.make("Mul", operands, f"{name}/scaled"))
        nodes.append(self.graph.make("Softmax", nodes[-1].output, f"{name}/softmax", axis=1))
        choice = [hard, nodes[-1].output[0], base]
        return [*nodes, self.graph.make("Where", choice, name, outputs=[y])]

    def maximum(self, scatter: NodeView, over: list[str], hard: str | None) -> list[onnx.NodeProto]:
        """Take the maximum of merged probabilities; with a mask, in the region only."""
        y, name = scatter.output("y"), scatter.node.name
        if hard is None:
            maximum = self.graph.make("ReduceMax", over, name, outputs=[y], keepdims=1)
            self.maxima[y] = NodeView(maximum)
            return [maximum]
        maximum = self.graph.make("ReduceMax", over, f"{name}/maximum", keepdims=1)
        choice = [hard, maximum.output[0], scatter.input("base")]
        return [maximum, self.graph.make("Where", choice, name, outputs=[y])]

    def written(self, scatter: NodeView, logits: str, base: str) -> onnx.NodeProto:
        name = self.graph.unique(f"{scatter.node.name}/logits")
        return REGION_SCATTER.node(
            name, [name],
            x=logits, rows=scatter.input("rows"), count=scatter.input("count"), base=base,
        )  # fmt: skip
