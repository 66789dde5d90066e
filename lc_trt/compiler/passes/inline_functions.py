"""Calls of functions become what their bodies say."""

from __future__ import annotations

from dataclasses import dataclass
from typing import ClassVar

from onnx import inliner

from lc_trt.compiler.graph import Graph
from lc_trt.compiler.pass_manager import PassReport


@dataclass(frozen=True)
class InlineFunctions:
    """Inlines every function that the model still calls: OpenVINO knows none.

    After the lowering those are the ones that a foreign exporter left.
    """

    name: ClassVar[str] = "inline_functions"

    def apply(self, graph: Graph) -> PassReport:
        """Inline in a copy without weights, whose nodes the graph takes over."""
        graph.remove_dead()
        if not graph.functions:
            return PassReport()
        calls = sum((n.domain, n.op_type, n.overload) in graph.functions for n in graph.nodes)
        inlined = Graph(inliner.inline_local_functions(graph.skeleton()))
        graph.take(inlined)
        return PassReport(calls)
