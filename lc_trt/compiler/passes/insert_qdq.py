"""Explicit INT8: QuantizeLinear and DequantizeLinear nodes in a folded exchange model.

    x -> Q -> moved in 8 bits (`quantization_plan.moves`) -> DQ -> (Region)Conv
                                             int8 weights -> DQ ----^

Region convolutions keep their form: input and weight come from a DequantizeLinear. ONNX Runtime can
therefore run the model directly, and lowerings find the 8-bit rows and weights at the inputs of
these nodes.
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

LEVELS, SIGNED_LEVELS = 255, 127  # largest quantised value of an unsigned and a signed range
_LARGEST_BIAS = 1 << 30  # int32, with as much left for the products that are added to it
_SMALLEST = 1e-12  # scale, for a tensor that is always 0


@dataclass(frozen=True)
class InsertQdq:
    """Inserts Q and DQ around the convolutions of a model with folded batch norms.

    Raises LcTrtError if a tensor has no range.

    Attributes:
        quantization: ranges, and the convolutions that stay in floating point.
        branches: whether to quantise results of convolutions that only an addition reads. Engines
            that fuse the addition into the convolution do not need this.
    """

    name: ClassVar[str] = "insert_qdq"
    quantization: Quantization
    branches: bool = False

    def apply(self, graph: Graph) -> PassReport:
        """Insert Q and DQ; the report counts convolutions."""
        plan, keep = make_plan(graph), self.quantization.keep
        tensors = quantised_inputs(graph, plan, keep)
        if self.branches:
            tensors |= plan.branches - set(keep)
        return Quantizer(graph, self.quantization, plan, tensors).run()


class Quantizer:
    """Rewrites a graph node by node, in place.

    Args:
        graph: graph of the plan, or its lowered form.
        quantization: ranges, and the convolutions that stay in floating point.
        plan: quantisation plan.
        tensors: tensors to quantise.
        signed: whether activations are int8 with zero point 0. Otherwise they are uint8, with zero
            point 0 for non-negative tensors and 128 for others.
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
        self.quantised: dict[str, tuple[str, str, str]] = {}  # inputs of a DQ by its output

    def run(self) -> PassReport:
        """Quantise; the report counts convolutions."""
        for node in self.graph.nodes:
            for i, name in enumerate(node.input):
                node.input[i] = self.renamed.get(name, name)
            self.rewrite(node)
        self.graph.nodes = self.nodes
        return self.report

    def rewrite(self, node: onnx.NodeProto) -> None:
        """Add a node whose inputs are already rewritten, with its Q and DQ.

        Args:
            node: next node of the graph.
        """
        if moves(node) and self.move(node):
            return
        if not self.convolutions.isdisjoint(node.output):
            self.weight(node)
            self.report.rewrites += 1
        for output in node.output:
            if output in self.plan.excluded:
                self.report.skip(node, self.plan.excluded[output])
            elif output in self.plan.convolutions and output in self.keep:
                self.report.skip(node, "it is excluded from INT8")
        self.nodes.append(node)
        for output in node.output:
            if output in self.tensors:
                self.renamed[output] = self.activation(output)

    def activation(self, name: str) -> str:
        """Add Q and DQ after a tensor.

        Args:
            name: name of the tensor.

        Returns:
            Output of the DQ.
        """
        scale, zero = group_parameters(name, self.plan, self.ranges, signed=self.signed)
        # One pair of constants per group, because `in_8_bits` compares them by name.
        owner = min(self.plan.groups[name])
        names = (f"{owner}/scale", f"{owner}/zero_point")
        for constant, value in zip(names, (scale, zero), strict=True):
            self.graph.constants[constant] = value
        return self.around(name, names)

    def around(self, name: str, names: tuple[str, str]) -> str:
        """Add Q and DQ after a tensor.

        Args:
            name: name of the tensor.
            names: constants of scale and zero point.

        Returns:
            Output of the DQ.
        """
        self.nodes.append(self.graph.make("QuantizeLinear", [name, *names], f"{name}/q"))
        return self.dequantize(self.nodes[-1].output[0], names, f"{name}/dq")

    def dequantize(
        self, x: str, parameters: tuple[str, str], name: str, output: str | None = None
    ) -> str:
        """Add a DQ.

        Args:
            x: quantised tensor.
            parameters: constants of scale and zero point.
            name: name of the node.
            output: output tensor; None for the node's name.

        Returns:
            Output of the DQ.
        """
        outputs = None if output is None else [output]
        node = self.graph.make("DequantizeLinear", [x, *parameters], name, outputs=outputs)
        self.nodes.append(node)
        self.quantised[node.output[0]] = (x, *parameters)
        return str(node.output[0])

    def in_8_bits(self, tensors: Sequence[str]) -> tuple[list[str], tuple[str, str]] | None:
        """Quantised values of tensors and their common constants; None without a common scale.

        Args:
            tensors: names of the tensors.
        """
        inputs = [self.quantised.get(name) for name in tensors]
        values = [x[0] for x in inputs if x is not None]
        parameters = {x[1:] for x in inputs if x is not None}
        if len(values) < len(inputs) or len(parameters) != 1:
            return None
        return values, parameters.pop()

    def move(self, node: onnx.NodeProto) -> bool:
        """Let a moving node move 8-bit values.

        Args:
            node: node for which `moves` holds.

        Returns:
            False if its inputs are not quantised with a common scale.
        """
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
        """Quantise the weight of a convolution to int8 with per-channel scales.

        Args:
            node: Conv or RegionConv.
        """
        conv = Convolution(node)
        values, scale = integer_weight(self.graph.constants[conv.weight], self.least_scale(conv))
        p = f"{node.name}/weight"
        names = [
            self.graph.constant(f"{p}_int8", values, "int8"),
            self.graph.constant(f"{p}_scale", scale, "float32"),
            self.graph.constant(f"{p}_zero_point", np.zeros(len(scale)), "int8"),
        ]
        self.nodes.append(self.graph.make("DequantizeLinear", names, f"{p}_dq", axis=0))
        conv.weight = self.nodes[-1].output[0]

    def least_scale(self, conv: Convolution) -> Array:
        """Least scales of a weight for which the bias, in steps of the product, fits into int32."""
        quantised = self.quantised.get(conv.x)
        if quantised is None or not conv.bias:
            return np.zeros(1)
        bias = self.graph.constants[conv.bias].reshape(-1).astype(np.float64)
        return np.abs(bias) / (float(self.graph.constants[quantised[1]]) * _LARGEST_BIAS)


def group_parameters(
    name: str, plan: QuantizationPlan, ranges: Mapping[str, Range], *, signed: bool
) -> tuple[Array, Array]:
    """Scale and zero point of the group of a tensor (see `parameters`).

    Args:
        name: name of the tensor.
        plan: plan with the groups.
        ranges: lowest and highest value by tensor.
        signed: see `Quantizer`.

    Raises:
        LcTrtError: a tensor of the group has no range.
    """
    group = plan.groups[name]
    missing = sorted(group - set(ranges))
    if missing:
        raise LcTrtError(f"tensor {missing[0]!r}: the calibration table has no range for it")
    return parameters([ranges[n] for n in group], signed=signed)


def group_scales(plan: QuantizationPlan, quantization: Quantization) -> dict[str, float]:
    """Scales of the tensors of a plan as int8 with zero point 0, if their ranges are known.

    Args:
        plan: plan with tensors and groups.
        quantization: ranges of the tensors.
    """
    return {
        name: float(group_parameters(name, plan, quantization.ranges, signed=True)[0])
        for name in plan.tensors
        if plan.groups[name] <= quantization.ranges.keys()
    }


def parameters(ranges: Collection[Range], *, signed: bool) -> tuple[Array, Array]:
    """Common scale and zero point of several ranges, float32 [] and int8 or uint8 [].

    0 is always representable, so that a missing neighbour reads as exactly 0.

    Args:
        ranges: lowest and highest value of each tensor.
        signed: see `Quantizer`.
    """
    low, high = min(r[0] for r in ranges), max(r[1] for r in ranges)
    both = low < 0
    levels = SIGNED_LEVELS if both or signed else LEVELS
    scale = max(-low if both else 0.0, high, 0.0) / levels
    kind, zero = (np.int8, 0) if signed else (np.uint8, 128 if both else 0)
    return np.asarray(max(scale, _SMALLEST), np.float32), np.asarray(zero, kind)


def integer_weight(weight: Array, least: Array | float = 0.0) -> tuple[Array, Array]:
    """Quantise a weight symmetrically per channel: the largest magnitude becomes 127.

    Args:
        weight: float [Cout, ...].
        least: least scale, per channel or for all. It matters to channels of hardly any weight,
            which are little more than their bias.

    Returns:
        int8 values [Cout, ...] and float32 scales [Cout].
    """
    largest = np.abs(weight.reshape(len(weight), -1)).max(axis=1)
    scale = np.maximum(np.maximum(largest / SIGNED_LEVELS, least), _SMALLEST).astype(np.float32)
    steps = np.rint(weight / scale.reshape(-1, *[1] * (weight.ndim - 1)))
    return np.clip(steps, -SIGNED_LEVELS, SIGNED_LEVELS).astype(np.int8), scale
