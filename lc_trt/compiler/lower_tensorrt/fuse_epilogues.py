"""Fuse the factor, residual and ReLU after a region convolution into its epilogue."""

from __future__ import annotations

from typing import ClassVar

import onnx

from lc_trt.compiler.graph import Graph
from lc_trt.compiler.lower_tensorrt.operators import has_residual, region_conv, row_tensors
from lc_trt.compiler.pass_manager import PassReport
from lc_trt.ir.node_view import NodeView

_OPERANDS = {"Relu": ("X",), "Mul": ("A", "B"), "Add": ("A", "B")}


class FuseEpilogues:
    """Fuses ``relu(residual + factor * conv)`` into one RegionConv, if parts have no other readers.

    A sum of convolutions becomes a chain, in which each is the residual of the next.
    """

    name: ClassVar[str] = "fuse_epilogues"

    def apply(self, graph: Graph) -> PassReport:
        """Fuse; the report counts factors, residuals and ReLUs.

        Args:
            graph: graph to edit in place.
        """
        return _Fusion(graph).run()


class _Fusion:
    def __init__(self, graph: Graph) -> None:
        self.graph, self.report = graph, PassReport()
        self.rows, self.uses = row_tensors(graph.nodes), graph.edges().uses
        # Convolutions without an activation yet, by output.
        self.convs: dict[str, NodeView] = {}

    def run(self) -> PassReport:
        nodes: list[onnx.NodeProto] = []
        for node in self.graph.nodes:
            reads_rows = not self.rows.isdisjoint(node.input)
            if node.domain == "" and node.op_type in _OPERANDS and reads_rows:
                conv = self.fuse(NodeView(node))
                if conv is not None:
                    # Moved here, because its residual may be computed after its old position.
                    nodes = [other for other in nodes if other is not conv.node]
                    nodes.append(conv.node)
                    continue
            nodes.append(node)
            new = region_conv(node)
            if new is not None and not new.attribute("activation"):
                self.convs[new.output("y")] = new
        self.graph.nodes = nodes
        return self.report

    def fuse(self, node: NodeView) -> NodeView | None:
        """Fuse a node into a preceding convolution; return that, or None if the node is skipped."""
        operands = [node.input(name) for name in _OPERANDS[node.node.op_type]]
        reason = "it does not follow a region convolution"
        # Of two added convolutions, the first becomes the residual of the second.
        for source in reversed(operands):
            if source not in self.convs:
                continue
            if self.uses[source] != 1:
                reason = f"{source!r} before it is read {self.uses[source]} times"
                continue
            conv = self.convs[source]
            others = [operand for operand in operands if operand != source]
            if self.join(conv, node.node.op_type, *others):
                del self.convs[source]
                conv.set_output("y", node.node.output[0])
                if node.node.op_type != "Relu":
                    self.convs[node.node.output[0]] = conv
                self.report.rewrites += 1
                return conv
            reason = f"{conv.node.name!r} before it has an epilogue that it cannot follow"
        self.report.skip(node.node, reason)
        return None

    def join(self, conv: NodeView, op_type: str, other: str = "") -> bool:
        """Extend the epilogue of a convolution; return False if the order does not allow it.

        The order is: factor, residual, activation.
        """
        if op_type == "Relu":
            conv.set_attribute("activation", 1)
            return True
        if has_residual(self.graph, conv):
            return False
        if op_type == "Add" and other in self.rows:
            conv.set_input("residual", other)
            return True
        value = self.graph.constants.get(other)
        if op_type == "Mul" and value is not None and value.size == 1:
            factor = conv.attribute("residual_scale") * float(value.item())
            conv.set_attribute("residual_scale", factor)
            return True
        return False
