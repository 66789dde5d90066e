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
from lc_trt.ir.region_ops import REGION_SCATTER


class FullMapHeads:
    """Replaces ``scatter(softmax(x), softmax(y))`` by ``softmax(scatter(x, y))``.

    Likewise, the maximum of the probabilities becomes that of the merged ones.
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
        self.softmaxes: dict[str, NodeView] = {}  # by their output
        self.maxima: dict[str, NodeView] = {}
        # Merged probabilities by (rows, x, base).
        self.merged: dict[tuple[str, str, str], str] = {}

    def run(self) -> PassReport:
        nodes: list[onnx.NodeProto] = []
        for node in self.graph.nodes:
            if is_region(node, REGION_SCATTER):
                nodes += self.scatter(NodeView(node))
                continue
            if node.domain == "" and node.op_type == "Softmax":
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
        y, name = scatter.output("y"), scatter.node.name
        if x in self.softmaxes and base in self.softmaxes:
            self.merged[rows, x, base] = y
            logits = self.graph.unique(f"{name}/logits")
            written = REGION_SCATTER.node(
                logits, [logits],
                x=self.softmaxes[x].input("input"), rows=rows, count=scatter.input("count"),
                base=self.softmaxes[base].input("input"),
            )  # fmt: skip
            softmax = self.graph.make("Softmax", written.output, name, outputs=[y], axis=1)
            self.softmaxes[y] = NodeView(softmax)
            self.report.rewrites += 1
            return [written, softmax]
        if x in self.maxima and base in self.maxima:
            largest, other = self.maxima[x], self.maxima[base]
            merged = self.merged.get((rows, largest.input("data"), other.input("data")))
            if merged is not None:
                over = [merged, largest.input("axes")]
                maximum = self.graph.make("ReduceMax", over, name, outputs=[y], keepdims=1)
                self.maxima[y] = NodeView(maximum)
                self.report.rewrites += 1
                return [maximum]
        self.report.skip(scatter.node, "its input is neither a Softmax nor the maximum of one")
        return [scatter.node]
