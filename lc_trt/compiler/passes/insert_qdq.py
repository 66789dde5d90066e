"""Explicit INT8: QuantizeLinear and DequantizeLinear nodes in a folded exchange model.

    x -> Q -> moved as 8 bits (Concat, MaxPool, RegionGather, RegionRestrict) -> DQ -> (Region)Conv
                                                              int8 weights -> DQ ----^

Region convolutions keep their form: x and weight come out of a DequantizeLinear, so ONNX Runtime
runs the model as it is, `lower_standard` gathers the 8-bit rows in front of that node, and a
backend with an integer region convolution finds what it needs in the same place.
"""

from __future__ import annotations

from collections.abc import Collection, Mapping, Sequence
from dataclasses import dataclass
from typing import ClassVar

import numpy as np
import onnx

from lc_trt.compiler.graph import Array, Graph
from lc_trt.compiler.options import Quantization, Range
from lc_trt.compiler.pass_manager import PassReport
from lc_trt.compiler.passes.convolution import Convolution
from lc_trt.compiler.passes.quantization_plan import (
    QuantizationPlan,
    make_plan,
    moved,
    moves,
    quantised_inputs,
    set_moved,
)
from lc_trt.errors import LcTrtError

LEVELS, SIGNED_LEVELS = 255, 127  # largest value of a range from 0 up, and of one of both signs
_SMALLEST = 1e-12  # a scale: what is always 0 has none of its own


@dataclass(frozen=True)
class InsertQdq:
    """Puts Q and DQ around the convolutions of a model whose batch norms are folded.

    Raises LcTrtError where a tensor that needs a range has none.

    Attributes:
        quantization: ranges, and what stays in floating point.
        branches: also quantises a convolution's result that only goes into an addition. An
            engine that fuses the addition into the convolution does not need it.
    """

    name: ClassVar[str] = "insert_qdq"
    quantization: Quantization
    branches: bool = False

    def apply(self, graph: Graph) -> PassReport:
        """Insert them."""
        plan, keep = make_plan(graph), self.quantization.keep
        tensors = quantised_inputs(graph, plan, keep)
        if self.branches:
            tensors |= plan.branches - set(keep)
        return Quantizer(graph, self.quantization, plan, tensors).run()


class Quantizer:
    """Rewrites a graph node by node, in place.

    Args:
        graph: the one that the plan was made of, or what it was lowered to.
        quantization: ranges, and what stays in floating point.
        plan: of the graph.
        tensors: those to quantise.
        signed: activations as int8 with zero point 0; else uint8, where the zero point is 0 for
            values from 0 up and 128 for values of both signs.
    """

    def __init__(
        self,
        graph: Graph,
        quantization: Quantization,
        plan: QuantizationPlan,
        tensors: Collection[str],
        *,
        signed: bool = False,
    ) -> None:
        self.graph, self.plan, self.tensors = graph, plan, tensors
        self.ranges, self.keep, self.signed = quantization.ranges, quantization.keep, signed
        self.convolutions = set(plan.convolutions) - set(quantization.keep)
        self.nodes: list[onnx.NodeProto] = []
        self.report = PassReport()
        self.renamed: dict[str, str] = {}
        self.quantised: dict[str, tuple[str, str, str]] = {}  # a DQ's output: its three inputs

    def run(self) -> PassReport:
        """Quantise; the report counts convolutions."""
        for node in self.graph.nodes:
            for i, name in enumerate(node.input):
                node.input[i] = self.renamed.get(name, name)
            self.rewrite(node)
        self.graph.nodes = self.nodes
        return self.report

    def rewrite(self, node: onnx.NodeProto) -> None:
        """Add a node, whose inputs are quantised already, and what belongs around it."""
        if moves(node) and self.move(node):
            return
        if not self.convolutions.isdisjoint(node.output):
            self.weight(node)
            self.report.rewrites += 1
        for output in node.output:
            if output in self.plan.excluded:
                self.report.skip(node, self.plan.excluded[output])
            elif output in self.plan.convolutions and output in self.keep:
                self.report.skip(node, "it is to stay in floating point")
        self.nodes.append(node)
        for output in node.output:
            if output in self.tensors:
                self.renamed[output] = self.activation(output)

    def activation(self, name: str) -> str:
        """Q and DQ behind a tensor; the name of the latter's output."""
        scale, zero = group_parameters(name, self.plan, self.ranges, signed=self.signed)
        # One pair of constants per group: moving compares them by name.
        owner = min(self.plan.groups[name])
        names = (f"{owner}/scale", f"{owner}/zero_point")
        for constant, value in zip(names, (scale, zero), strict=True):
            self.graph.constants[constant] = value
        return self.around(name, names)

    def around(self, name: str, names: tuple[str, str]) -> str:
        """Q and DQ by these constants behind a tensor; the name of the latter's output."""
        self.nodes.append(self.graph.make("QuantizeLinear", [name, *names], f"{name}/q"))
        return self.dequantize(self.nodes[-1].output[0], names, f"{name}/dq")

    def dequantize(
        self, x: str, parameters: tuple[str, str], name: str, output: str | None = None
    ) -> str:
        """DQ of quantised values; the name of its output."""
        outputs = None if output is None else [output]
        node = self.graph.make("DequantizeLinear", [x, *parameters], name, outputs=outputs)
        self.nodes.append(node)
        self.quantised[node.output[0]] = (x, *parameters)
        return str(node.output[0])

    def in_8_bits(self, tensors: Sequence[str]) -> tuple[list[str], tuple[str, str]] | None:
        """The quantised values behind some tensors, and their constants, if all have the same."""
        inputs = [self.quantised.get(name) for name in tensors]
        values = [x[0] for x in inputs if x is not None]
        parameters = {x[1:] for x in inputs if x is not None}
        if len(values) < len(inputs) or len(parameters) != 1:
            return None
        return values, parameters.pop()

    def move(self, node: onnx.NodeProto) -> bool:
        """Let a moving node move 8 bits, if all that it moves has one scale."""
        quantised = self.in_8_bits(moved(node))
        if quantised is None:
            return False
        values, parameters = quantised
        set_moved(node, values)
        output = node.output[0]
        node.output[0] = self.graph.unique(f"{output}/8bit")
        self.nodes.append(node)
        self.dequantize(node.output[0], parameters, f"{output}/dq", output)
        return True

    def weight(self, node: onnx.NodeProto) -> None:
        """int8 weights with a scale for each output channel."""
        conv = Convolution(node)
        values, scale = integer_weight(self.graph.constants[conv.weight])
        p = f"{node.name}/weight"
        names = [
            self.graph.constant(f"{p}_int8", values, "int8"),
            self.graph.constant(f"{p}_scale", scale, "float32"),
            self.graph.constant(f"{p}_zero_point", np.zeros(len(scale)), "int8"),
        ]
        self.nodes.append(self.graph.make("DequantizeLinear", names, f"{p}_dq", axis=0))
        conv.weight = self.nodes[-1].output[0]


def group_parameters(
    name: str, plan: QuantizationPlan, ranges: Mapping[str, Range], *, signed: bool
) -> tuple[Array, Array]:
    """Scale and zero point of a tensor and of all that share them (`parameters`).

    Args:
        name: of the tensor.
        plan: has its group.
        ranges: by tensor.
        signed: as of `Quantizer`.

    Raises:
        LcTrtError: one of them has no range.
    """
    group = plan.groups[name]
    missing = sorted(group - set(ranges))
    if missing:
        raise LcTrtError(f"tensor {missing[0]!r}: the calibration table has no range for it")
    return parameters([ranges[n] for n in group], signed=signed)


def group_scales(plan: QuantizationPlan, how: Quantization) -> dict[str, float]:
    """The scale of each tensor of a plan as int8 with zero point 0, where the ranges are known.

    Args:
        plan: has the tensors and their groups.
        how: has the ranges.
    """
    return {
        name: float(group_parameters(name, plan, how.ranges, signed=True)[0])
        for name in plan.tensors
        if plan.groups[name] <= how.ranges.keys()
    }


def parameters(ranges: Collection[Range], *, signed: bool) -> tuple[Array, Array]:
    """float32 scale [] and zero point [] for values of all these ranges.

    0 is always a quantised value of its own, so that a missing neighbour reads exactly 0.

    Args:
        ranges: lowest and highest value of each tensor.
        signed: as of `Quantizer`.
    """
    low, high = min(r[0] for r in ranges), max(r[1] for r in ranges)
    both = low < 0
    levels = SIGNED_LEVELS if both or signed else LEVELS
    scale = max(-low if both else 0.0, high, 0.0) / levels
    kind, zero = (np.int8, 0) if signed else (np.uint8, 128 if both else 0)
    return np.asarray(max(scale, _SMALLEST), np.float32), np.asarray(zero, kind)


def integer_weight(weight: Array) -> tuple[Array, Array]:
    """int8 values in the shape of ``weight`` [Cout, ...], and the float32 scale [Cout].

    Symmetric: the largest magnitude of a channel is 127.

    Args:
        weight: floating point.
    """
    largest = np.abs(weight.reshape(len(weight), -1)).max(axis=1)
    scale = np.maximum(largest / SIGNED_LEVELS, _SMALLEST).astype(np.float32)
    steps = np.rint(weight / scale.reshape(-1, *[1] * (weight.ndim - 1)))
    return np.clip(steps, -SIGNED_LEVELS, SIGNED_LEVELS).astype(np.int8), scale
