"""The pass interface, and the application of pass sequences to a graph."""

from __future__ import annotations

import logging
from collections.abc import Iterable
from dataclasses import dataclass, field
from time import perf_counter
from typing import NamedTuple, Protocol

import onnx

from lc_trt.compiler.graph import Graph

# INFO: one line per pass. DEBUG: one line per skipped node.
logger = logging.getLogger("lc_trt.compiler")


class Skipped(NamedTuple):
    """A node that matches a pass but was not rewritten."""

    node: str
    op_type: str
    reason: str


@dataclass
class PassReport:
    """Result of a pass.

    Attributes:
        rewrites: number of rewritten nodes, inputs or outputs.
        skipped: matching nodes that were not rewritten, with reasons.
    """

    rewrites: int = 0
    skipped: list[Skipped] = field(default_factory=list)

    def skip(self, node: onnx.NodeProto, reason: str) -> None:
        """Record why a node is not rewritten.

        Args:
            node: node of the graph.
            reason: clause without a full stop, such as "its result is read twice".
        """
        self.skipped.append(Skipped(node.name or node.output[0], node.op_type, reason))


class Pass(Protocol):
    """A step of the compilation; its attributes are its options."""

    @property
    def name(self) -> str:
        """Name in logs: that of its module."""
        ...

    def apply(self, graph: Graph) -> PassReport:
        """Edit the graph in place.

        Args:
            graph: graph without dead nodes.

        Returns:
            Rewritten and skipped nodes.

        Raises:
            LcTrtError: unsupported graph; the message names the node.
        """
        ...


def apply_passes(graph: Graph, passes: Iterable[Pass]) -> None:
    """Apply passes to a graph and log their results.

    Args:
        graph: graph to edit in place; dead nodes are removed after each pass.
        passes: passes in order.

    Raises:
        LcTrtError: see `Pass.apply`.
    """
    for step in passes:
        began = perf_counter()
        report = step.apply(graph)
        if report.rewrites:
            graph.remove_dead()
            graph.edited()
        for skipped in report.skipped:
            logger.debug(
                "%s: node %r (%s) skipped: %s",
                step.name, skipped.node, skipped.op_type, skipped.reason,
            )  # fmt: skip
        logger.info(
            "%s: %d rewritten, %d skipped, %.0f ms",
            step.name, report.rewrites, len(report.skipped), (perf_counter() - began) * 1000,
        )  # fmt: skip


def run_passes(model: onnx.ModelProto, passes: Iterable[Pass]) -> onnx.ModelProto:
    """Read a model, apply passes and encode the result.

    Args:
        model: is not modified.
        passes: passes in order.

    Returns:
        A new model, independent of ``model``.

    Raises:
        LcTrtError: see `Pass.apply`.
    """
    graph = Graph(model)
    apply_passes(graph, passes)
    return graph.encode()
