"""What a pass is, and how a sequence of them edits one graph."""

from __future__ import annotations

import logging
from collections.abc import Iterable
from dataclasses import dataclass, field
from time import perf_counter
from typing import NamedTuple, Protocol

import onnx

from lc_trt.compiler.graph import Graph

# INFO: one line per pass. DEBUG: why a pass left what it looks for.
logger = logging.getLogger("lc_trt.compiler")


class Skipped(NamedTuple):
    """A node that a pass looks for and left as it is."""

    node: str
    op_type: str
    reason: str


@dataclass
class PassReport:
    """What a pass did.

    Attributes:
        rewrites: how many nodes, or inputs and outputs of the model, it changed.
        skipped: what it might have changed, and why it did not.
    """

    rewrites: int = 0
    skipped: list[Skipped] = field(default_factory=list)

    def skip(self, node: onnx.NodeProto, reason: str) -> None:
        """Note why a node stays.

        Args:
            node: as it is in the graph.
            reason: a clause without a full stop, as in "its result is read twice".
        """
        self.skipped.append(Skipped(node.name or node.output[0], node.op_type, reason))


class Pass(Protocol):
    """A step of a compilation; its options are its attributes."""

    @property
    def name(self) -> str:
        """What the log calls it: the name of its module."""
        ...

    def apply(self, graph: Graph) -> PassReport:
        """Edit the graph in place.

        Args:
            graph: without nodes that nobody reads.

        Returns:
            How much was rewritten, and what was not.

        Raises:
            LcTrtError: the graph is none that the pass can handle; the message names the node.
        """
        ...


def apply_passes(graph: Graph, passes: Iterable[Pass]) -> None:
    """Edit a graph by one pass after the other, and log what each did.

    Args:
        graph: is edited in place; nodes that nobody reads go after each pass.
        passes: in order.

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
                "%s: node %r (%s) stays: %s",
                step.name, skipped.node, skipped.op_type, skipped.reason,
            )  # fmt: skip
        logger.info(
            "%s: %d rewritten, %d left, %.0f ms",
            step.name, report.rewrites, len(report.skipped), (perf_counter() - began) * 1000,
        )  # fmt: skip


def run_passes(model: onnx.ModelProto, passes: Iterable[Pass]) -> onnx.ModelProto:
    """Read a model, apply passes and encode the result.

    Args:
        model: stays as it is.
        passes: in order.

    Returns:
        A model that shares nothing with ``model``.

    Raises:
        LcTrtError: see `Pass.apply`.
    """
    graph = Graph(model)
    apply_passes(graph, passes)
    return graph.encode()
