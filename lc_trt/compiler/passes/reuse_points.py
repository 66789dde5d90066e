"""Where temporal reuse takes hold of a cascade's graph."""

from __future__ import annotations

from collections.abc import Collection, Iterable

import onnx

from lc_trt.compiler.graph import EditableGraph
from lc_trt.errors import LcTrtError
from lc_trt.ir.interface import DOMAIN


class Anchors:
    """The tensors of a cascade that reuse holds on to.

    Raises:
        LcTrtError: the graph is no cascade of three stages.

    Attributes:
        select: the RegionSelect of stage 2.
        confidence, active, rho: its inputs.
        features: what enters stage 2, [N, C, h, w].
        first_probabilities: what stage 1's head gives, [N, K, h, w].
        results: probabilities, confidence and stages as they are merged in the end; only
            outputs are made of them.
    """

    def __init__(self, graph: EditableGraph) -> None:
        self.graph = graph
        self.producers = {o: n for n in graph.nodes for o in n.output}
        selects = self._all_of("RegionSelect")
        if len(selects) != 2:
            raise LcTrtError(
                f"temporal reuse: the network has {len(selects)} RegionSelect nodes, expected a "
                "cascade of three stages; build it without --reuse"
            )
        self.select, last = selects
        self.confidence, self.active, self.rho = self.select.input
        (enter,) = (n for n in self._all_of("RegionGather") if n.input[1] == self.select.output[0])
        self.features = str(enter.input[0])
        scattered = [n for n in self._all_of("RegionScatter") if n.input[1] == last.output[0]]
        confidence, stages = self._before("confidence"), self._before("stages")
        (merged,) = (n for n in scattered if n.output[0] != confidence)
        base = self.producers[merged.input[3]]
        self.first_probabilities = str(base.input[3])
        self.results = (str(merged.output[0]), confidence, stages)

    def _all_of(self, op_type: str) -> list[onnx.NodeProto]:
        return [n for n in self.graph.nodes if n.domain == DOMAIN and n.op_type == op_type]

    def _before(self, output: str) -> str:
        """What an output of the model is a view of."""
        name = output
        while self.producers[name].op_type in ("Squeeze", "Cast", "Identity"):
            name = self.producers[name].input[0]
        return name


def ancestors(nodes: Iterable[onnx.NodeProto], names: Collection[str]) -> list[onnx.NodeProto]:
    """The nodes that these tensors are made by, in order."""
    wanted, found = set(names), []
    for node in reversed(list(nodes)):
        if not wanted.isdisjoint(node.output):
            found.append(node)
            wanted.update(node.input)
    return found[::-1]


def descendants(nodes: Iterable[onnx.NodeProto], names: Collection[str]) -> list[onnx.NodeProto]:
    """The nodes that read these tensors or what is made of them, in order."""
    made, found = set(names), []
    for node in nodes:
        if not made.isdisjoint(node.input):
            found.append(node)
            made.update(node.output)
    return found
