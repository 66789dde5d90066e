"""The tensors of a cascade that temporal reuse reads and replaces."""

from __future__ import annotations

from collections.abc import Collection, Iterable

import onnx

from lc_trt.compiler.graph import Graph
from lc_trt.errors import LcTrtError
from lc_trt.ir.interface import CONFIDENCE, STAGES
from lc_trt.ir.node_view import NodeView
from lc_trt.ir.operator_schema import RegionOperator, is_region
from lc_trt.ir.region_ops import REGION_GATHER, REGION_SCATTER, REGION_SELECT

# Operators that do not change values, with their input.
_VIEWS = {"Squeeze": "data", "Cast": "input", "Identity": "input"}


class ReusePoints:
    """Tensors of a cascade for temporal reuse.

    Attributes:
        select: RegionSelect of stage 2.
        confidence, active, rho: its inputs.
        features: input map of stage 2, [N, C, h, w].
        first_probabilities: output of stage 1's head, [N, K, h, w].
        results: final merged probabilities, confidence and stages, read by outputs only.
    """

    def __init__(self, graph: Graph) -> None:
        """Find the tensors.

        Args:
            graph: a cascade in exchange form.

        Raises:
            LcTrtError: not a cascade of three stages with one stride.
        """
        self.graph, self.producers = graph, graph.edges().producers
        selects = self._all_of(REGION_SELECT)
        if len(selects) != 2:
            raise LcTrtError(
                f"temporal reuse: the network has {len(selects)} RegionSelect nodes, expected a "
                "cascade of three stages; build it without --reuse"
            )
        self.select, last = selects
        if last.input("active") != self.select.output("hard"):
            raise LcTrtError(
                "temporal reuse: stage 3 of this network computes pixels at another stride than "
                "stage 2; build it without --reuse"
            )
        self.confidence, self.active, self.rho = (
            self.select.input(name) for name in ("confidence", "active", "rho")
        )
        (enter,) = self._in_region(REGION_GATHER, self.select)
        self.features = enter.input("x")
        confidence, stages = self._before(CONFIDENCE), self._before(STAGES)
        scatters = self._in_region(REGION_SCATTER, last)
        (merged,) = (scatter for scatter in scatters if scatter.output("y") != confidence)
        base = NodeView(self.producers[merged.input("base")])
        self.first_probabilities = base.input("base")
        self.results = (merged.output("y"), confidence, stages)

    def _all_of(self, operator: RegionOperator) -> list[NodeView]:
        return [NodeView(node) for node in self.graph.nodes if is_region(node, operator)]

    def _in_region(self, operator: RegionOperator, select: NodeView) -> list[NodeView]:
        rows = select.output("rows")
        return [view for view in self._all_of(operator) if view.input("rows") == rows]

    def _before(self, output: str) -> str:
        """The tensor that an output of the model is a view of."""
        name = output
        while self.producers[name].op_type in _VIEWS:
            node = self.producers[name]
            name = NodeView(node).input(_VIEWS[node.op_type])
        return name


def ancestors(nodes: Iterable[onnx.NodeProto], names: Collection[str]) -> list[onnx.NodeProto]:
    """The nodes that some tensors depend on, in order.

    Args:
        nodes: in topological order.
        names: names of the tensors.
    """
    needed, producers = set(names), []
    for node in reversed(list(nodes)):
        if not needed.isdisjoint(node.output):
            producers.append(node)
            needed.update(node.input)
    return producers[::-1]


def descendants(nodes: Iterable[onnx.NodeProto], names: Collection[str]) -> list[onnx.NodeProto]:
    """The nodes that depend on some tensors, in order.

    Args:
        nodes: in topological order.
        names: names of the tensors.
    """
    dependent, readers = set(names), []
    for node in nodes:
        if not dependent.isdisjoint(node.input):
            readers.append(node)
            dependent.update(node.output)
    return readers
