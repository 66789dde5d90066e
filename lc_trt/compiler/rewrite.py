"""Passes that rewrite one node at a time."""

from __future__ import annotations

from abc import ABC, abstractmethod
from typing import ClassVar

import onnx

from lc_trt.compiler.graph import Edges, Graph
from lc_trt.compiler.pass_manager import PassReport


class RewriteRule(ABC):
    """A pass that replaces individual nodes.

    A rule consists of a pattern, a check that returns why a matching node is skipped, and a
    rewrite. It need not remove producers that become dead; `apply_passes` does.
    """

    name: ClassVar[str]

    @abstractmethod
    def pattern(self, node: onnx.NodeProto) -> bool:
        """Whether a node matches.

        Args:
            node: node of any operator.
        """

    def check(self, graph: Graph, edges: Edges, node: onnx.NodeProto) -> str | None:
        """The reason to skip a matching node; None to rewrite it.

        Args:
            graph: graph with the nodes before the pass.
            edges: edges of these nodes.
            node: matching node.
        """
        del graph, edges, node
        return None

    @abstractmethod
    def rewrite(self, graph: Graph, edges: Edges, node: onnx.NodeProto) -> list[onnx.NodeProto]:
        """Create the nodes that replace ``node`` and produce its outputs.

        Args:
            graph: graph, to create names and constants.
            edges: edges of the nodes before the pass.
            node: node for which `check` returned None.
        """

    def apply(self, graph: Graph) -> PassReport:
        """Rewrite all matching nodes that pass the check.

        Args:
            graph: graph to edit in place.
        """
        report, edges = PassReport(), graph.edges()
        nodes: list[onnx.NodeProto] = []
        for node in graph.nodes:
            reason = self.check(graph, edges, node) if self.pattern(node) else ""
            if reason is None:
                nodes += self.rewrite(graph, edges, node)
                graph.expanded[node.name] = node.op_type
                report.rewrites += 1
                continue
            if reason:
                report.skip(node, reason)
            nodes.append(node)
        graph.nodes = nodes
        return report
