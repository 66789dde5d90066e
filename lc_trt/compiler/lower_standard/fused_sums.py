"""Sums of region convolutions of the same rows: one convolution that reads all their pixels."""

from __future__ import annotations

from collections.abc import Collection
from dataclasses import dataclass

import numpy as np
import onnx

from lc_trt.compiler.graph import Array, EditableGraph, attributes
from lc_trt.compiler.lower_standard.neighbours import Taps, window
from lc_trt.ir.interface import DOMAIN


@dataclass
class TapSum:
    """A region convolution of any taps, of what a chain of additions sums up.

    Attributes:
        x, rows: the inputs of all its convolutions.
        weights: [Cout, Cin] of each tap; taps that several convolutions read have one.
        bias: [Cout].
    """

    x: str
    rows: str
    weights: dict[tuple[int, int], Array]
    bias: Array

    @property
    def taps(self) -> Taps:
        """What it reads."""
        return tuple(self.weights)

    def plus(self, other: TapSum) -> TapSum:
        """Both in one."""
        weights = dict(self.weights)
        for tap, weight in other.weights.items():
            weights[tap] = weights[tap] + weight if tap in weights else weight
        return TapSum(self.x, self.rows, weights, self.bias + other.bias)


def find_sums(
    graph: EditableGraph, named: Collection[str]
) -> tuple[dict[str, TapSum], frozenset[str]]:
    """What the lowering computes at once: an ASPP head's branches, for one.

    Only convolutions to fewer channels than they read, whose products with every tap are
    computed first and gathered then (`convolutions`); all in floating point.

    Args:
        named: tensors that stay.

    Returns:
        The sums by the name of what the last addition gives, and the outputs of the operators
        that are thereby not needed.
    """
    readers: dict[str, int] = {}
    for name in [
        *(i for node in graph.nodes for i in node.input),
        *(o.name for o in graph.outputs),
    ]:
        readers[name] = readers.get(name, 0) + 1
    found: dict[str, TapSum] = {}
    parts: dict[str, list[str]] = {}
    for node in graph.nodes:
        output = node.output[0]
        if node.op_type == "RegionConv" and node.domain == DOMAIN:
            term = _term(graph, node)
            if term is not None:
                found[output], parts[output] = term, []
        elif node.op_type == "Add" and node.domain == "" and all(i in found for i in node.input):
            a, b = (found[i] for i in node.input)
            alike = (a.x, a.rows, len(a.bias)) == (b.x, b.rows, len(b.bias))
            if alike and all(readers[i] == 1 and i not in named for i in node.input):
                found[output] = a.plus(b)
                parts[output] = [p for i in node.input for p in (i, *parts[i])]
    dropped = frozenset(p for inside in parts.values() for p in inside)
    return {o: s for o, s in found.items() if parts[o] and o not in dropped}, dropped


def _term(graph: EditableGraph, node: onnx.NodeProto) -> TapSum | None:
    """A convolution that nothing but a product and a bias belong to."""
    x, rows, _, _, weight_name, bias_name, residual = node.input
    found = attributes(node)
    weight, bias = (graph.constants.get(name) for name in (weight_name, bias_name))
    plain = (
        residual in graph.constants and not graph.constants[residual].any()
        and not found.get("activation", 0) and found.get("residual_scale", 1.0) == 1.0
    )  # fmt: skip
    if weight is None or bias is None or not plain or weight.shape[0] >= weight.shape[1]:
        return None
    taps = window(found["kernel_shape"], found["dilations"])
    by_tap = np.moveaxis(weight.reshape(*weight.shape[:2], len(taps)), 2, 0)
    return TapSum(x, rows, dict(zip(taps, by_tap, strict=True)), bias.reshape(-1))
