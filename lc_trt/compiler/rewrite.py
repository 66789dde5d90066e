"""Passes that rewrite one node at a time."""

from __future__ import annotations

from abc import ABC, abstractmethod
from typing import ClassVar

import onnx

from lc_trt.compiler.graph import Edges, Graph
from lc_trt.compiler.pass_manager import PassReport


class RewriteRule(ABC):
    """A pass that replaces each node of some kind by others, where it may.

    A rule is a pattern, a check that says why a node of the pattern stays, and a rewrite. Nodes
    before it that only it reads need not be dropped: the runner does.
    """

    name: ClassVar[str]

    @abstractmethod
    def pattern(self, node: onnx.NodeProto) -> bool:
        """Whether the rule is about nodes of this kind."""

    def check(self, graph: Graph, edges: Edges, node: onnx.NodeProto) -> str | None:
        """Why a node of the pattern stays; None to rewrite it.

        Args:
            graph: whose nodes are as they were before the pass.
            edges: of those nodes.
            node: one of the pattern.
        """
        del graph, edges, node
        return None

    @abstractmethod
    def rewrite(self, graph: Graph, edges: Edges, node: onnx.NodeProto) -> list[onnx.NodeProto]:
        """The nodes that stand where ``node`` stood and make its outputs.

        Args:
            graph: for names and constants.
            edges: of the nodes before the pass.
            node: one that `check` let through.
        """

    def apply(self, graph: Graph) -> PassReport:
        """Rewrite all nodes of the pattern that pass the check."""
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
