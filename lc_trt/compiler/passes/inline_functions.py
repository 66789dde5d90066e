"""Inline function calls."""

from __future__ import annotations

from dataclasses import dataclass
from typing import ClassVar

from onnx import inliner

from lc_trt.compiler.graph import Graph
from lc_trt.compiler.pass_manager import PassReport


@dataclass(frozen=True)
class InlineFunctions:
    """Inlines all functions that the model still calls, because OpenVINO does not support them.

    After the lowering, these come from other exporters.
    """

    name: ClassVar[str] = "inline_functions"

    def apply(self, graph: Graph) -> PassReport:
        """Inline in a copy without weights, and take over its nodes."""
        graph.remove_dead()
        if not graph.functions:
            return PassReport()
        calls = sum((n.domain, n.op_type, n.overload) in graph.functions for n in graph.nodes)
        inlined = Graph(inliner.inline_local_functions(graph.skeleton()))
        graph.take(inlined)
        return PassReport(calls)
