"""Sums of region convolutions of the same rows, fused into one convolution with all their taps."""

from __future__ import annotations

from collections.abc import Collection
from dataclasses import dataclass, field

import numpy as np
import onnx

from lc_trt.compiler.graph import Array, Graph
from lc_trt.compiler.lower_standard.neighbours import Taps, window
from lc_trt.ir.node_view import NodeView
from lc_trt.ir.operator_schema import is_region
from lc_trt.ir.region_ops import REGION_CONV


@dataclass
class TapSum:
    """A region convolution with arbitrary taps, fused from a chain of additions.

    Attributes:
        x, rows: inputs of all its convolutions.
        weights: [Cout, Cin] by tap; weights of common taps are summed.
        bias: sum of the biases, [Cout].
    """

    x: str
    rows: str
    weights: dict[tuple[int, int], Array]
    bias: Array

    @property
    def taps(self) -> Taps:
        """Taps of the convolution."""
        return tuple(self.weights)

    def plus(self, other: TapSum) -> TapSum:
        """Add another sum.

        Args:
            other: sum with the same input rows and number of channels.
        """
        weights = dict(self.weights)
        for tap, weight in other.weights.items():
            weights[tap] = weights[tap] + weight if tap in weights else weight
        return TapSum(self.x, self.rows, weights, self.bias + other.bias)


@dataclass
class TapSums:
    """Fusable sums of a graph.

    Attributes:
        sums: by output of the last addition.
        dropped: outputs of the operators that become unnecessary.
        separate: additions of two convolutions that cannot be fused, with reasons.
    """

    sums: dict[str, TapSum] = field(default_factory=dict)
    dropped: frozenset[str] = frozenset()
    separate: list[tuple[onnx.NodeProto, str]] = field(default_factory=list)


def find_sums(graph: Graph, named: Collection[str]) -> TapSums:
    """Find fusable sums, such as the branches of an ASPP head.

    Includes only floating-point convolutions with fewer output than input channels, whose products
    are computed before the gather (`convolutions`).

    Args:
        graph: is only read.
        named: tensors that must not disappear.
    """
    uses = graph.edges().uses
    terms: dict[str, TapSum] = {}
    parts: dict[str, list[str]] = {}
    separate: list[tuple[onnx.NodeProto, str]] = []
    for node in graph.nodes:
        output = node.output[0]
        if is_region(node, REGION_CONV):
            term = _term(graph, node)
            if term is not None:
                terms[output], parts[output] = term, []
        elif node.op_type == "Add" and node.domain == "" and all(i in terms for i in node.input):
            a, b = (terms[i] for i in node.input)
            if (a.x, a.rows, len(a.bias)) != (b.x, b.rows, len(b.bias)):
                separate.append((node, "its two convolutions read different rows"))
            elif any(uses[i] != 1 for i in node.input):
                separate.append((node, "one of its two convolutions is read elsewhere"))
            elif any(i in named for i in node.input):
                separate.append((node, "one of its two convolutions is a required tensor"))
            else:
                terms[output] = a.plus(b)
                parts[output] = [p for i in node.input for p in (i, *parts[i])]
    dropped = frozenset(p for inside in parts.values() for p in inside)
    sums = {o: term for o, term in terms.items() if parts[o] and o not in dropped}
    return TapSums(sums, dropped, separate)


def _term(graph: Graph, node: onnx.NodeProto) -> TapSum | None:
    """A convolution as a sum of one term.

    None if it reads a dense map, has an epilogue or expands channels.
    """
    conv = NodeView(node)
    if conv.input("index") in graph.constants:
        return None
    weight, bias, residual = (
        graph.constants.get(conv.input(name)) for name in ("weight", "bias", "residual")
    )
    if weight is None or bias is None or residual is None or residual.any():
        return None
    if conv.attribute("activation") or conv.attribute("residual_scale") != 1.0:
        return None
    if weight.shape[0] >= weight.shape[1]:
        return None
    taps = window(conv.attribute("kernel_shape"), conv.attribute("dilations"))
    by_tap = np.moveaxis(weight.reshape(*weight.shape[:2], len(taps)), 2, 0)
    return TapSum(
        conv.input("x"), conv.input("rows"), dict(zip(taps, by_tap, strict=True)), bias.reshape(-1)
    )
