"""Explicit INT8: QuantizeLinear and DequantizeLinear nodes in a folded exchange model.

    x -> Q -> moved as 8 bits (Concat, MaxPool, RegionGather, RegionRestrict) -> DQ -> (Region)Conv
                                                              int8 weights -> DQ ----^

Region convolutions keep their form: x and weight come out of a DequantizeLinear, so ONNX Runtime
runs the model as it is, `lower_standard` gathers the 8-bit rows in front of that node, and a
backend with an integer region convolution finds what it needs in the same place.
"""

from __future__ import annotations

from collections.abc import Collection, Mapping
from dataclasses import dataclass

import numpy as np
import onnx

from lc_trt.compiler.graph import Array, EditableGraph
from lc_trt.compiler.quantize_plan import WEIGHT_AT, Plan, make_plan, moved, moves
from lc_trt.errors import LcTrtError

Range = tuple[float, float]
LEVELS, SIGNED_LEVELS = 255, 127  # largest code of values from 0 up, and of values of both signs
_SMALLEST = 1e-12  # a scale: what is always 0 has none of its own


@dataclass(frozen=True)
class Quantization:
    """How to quantise.

    Attributes:
        ranges: lowest and highest value by tensor; what is outside saturates.
        keep: convolutions (`Plan.convolutions`) that stay in floating point.
        branches: also a convolution's result that only goes into an addition. An engine that
            fuses the addition into the convolution does not want it.
        signed: activations as int8 with zero point 0, TensorRT's only form; else uint8, where
            the zero point is 0 for values from 0 up and 128 for values of both signs.
    """

    ranges: Mapping[str, Range]
    keep: Collection[str] = ()
    branches: bool = False
    signed: bool = False


def quantize(model: onnx.ModelProto, how: Quantization) -> onnx.ModelProto:
    """Put Q and DQ around the convolutions of a model whose batch norms are folded.

    Raises:
        LcTrtError: a tensor that needs a range has none.
    """
    return _Quantizer(model, how).run()


class _Quantizer:
    def __init__(self, model: onnx.ModelProto, how: Quantization) -> None:
        self.graph, self.how = EditableGraph(model), how
        self.plan: Plan = make_plan(model)
        self.quantised: dict[str, tuple[str, str, str]] = {}  # DQ's output: its three inputs

    def run(self) -> onnx.ModelProto:
        convolutions = set(self.plan.convolutions) - set(self.how.keep)
        wanted = self.wanted(convolutions)
        renamed: dict[str, str] = {}
        nodes: list[onnx.NodeProto] = []
        for node in self.graph.nodes:
            for i, name in enumerate(node.input):
                node.input[i] = renamed.get(name, name)
            if moves(node) and self.move(node, nodes):
                continue
            if not convolutions.isdisjoint(node.output):
                self.weight(node, nodes)
            nodes.append(node)
            for output in node.output:
                if output in wanted:
                    renamed[output] = self.activation(output, nodes)
        self.graph.nodes = nodes
        return self.graph.model()

    def wanted(self, convolutions: set[str]) -> set[str]:
        """The tensors to quantise: inputs of these convolutions, with all that meet them."""
        producers = {output: node for node in self.graph.nodes for output in node.output}
        found: set[str] = set()
        for node in self.graph.nodes:
            if not convolutions.isdisjoint(node.output):
                todo = [node.input[0]]
                while todo:
                    name = todo.pop()
                    if name in producers and moves(producers[name]):
                        todo += moved(producers[name])
                    else:
                        found |= self.plan.groups.get(name, frozenset())
                if self.how.branches and node.output[0] in self.plan.branches:
                    found.add(node.output[0])
        return found

    def activation(self, name: str, nodes: list[onnx.NodeProto]) -> str:
        """Q and DQ behind a tensor; the name of the latter's output."""
        group = self.plan.groups[name]
        missing = sorted(group - set(self.how.ranges))
        if missing:
            raise LcTrtError(f"tensor {missing[0]!r}: the calibration table has no range for it")
        scale, zero = parameters([self.how.ranges[n] for n in group], signed=self.how.signed)
        # One pair of constants a group: moving compares them by name.
        owner = min(group)
        names = (f"{owner}/scale", f"{owner}/zero_point")
        for constant, value in zip(names, (scale, zero), strict=True):
            self.graph.constants[constant] = value
        nodes.append(self.graph.make("QuantizeLinear", [name, *names], f"{name}/q"))
        return self.dequantize(nodes[-1].output[0], names, f"{name}/dq", nodes)

    def dequantize(
        self,
        x: str,
        parameters: tuple[str, str],
        name: str,
        nodes: list[onnx.NodeProto],
        output: str | None = None,
    ) -> str:
        outputs = None if output is None else [output]
        nodes.append(self.graph.make("DequantizeLinear", [x, *parameters], name, outputs=outputs))
        self.quantised[nodes[-1].output[0]] = (x, *parameters)
        return str(nodes[-1].output[0])

    def move(self, node: onnx.NodeProto, nodes: list[onnx.NodeProto]) -> bool:
        """Let a moving node move 8 bits, if all that it moves has one scale."""
        inputs = [self.quantised.get(name) for name in moved(node)]
        first = inputs[0]
        if first is None or any(found is None or found[1:] != first[1:] for found in inputs):
            return False
        for i, found in enumerate(inputs):
            assert found is not None
            node.input[i] = found[0]
        output = node.output[0]
        node.output[0] = self.graph.unique(f"{output}/8bit")
        nodes.append(node)
        self.dequantize(node.output[0], first[1:], f"{output}/dq", nodes, output)
        return True

    def weight(self, conv: onnx.NodeProto, nodes: list[onnx.NodeProto]) -> None:
        """int8 weights with a scale for each output channel."""
        at = WEIGHT_AT[conv.domain, conv.op_type]
        values, scale = integer_weight(self.graph.constants[conv.input[at]])
        p = f"{conv.name}/weight"
        names = [
            self.graph.constant(f"{p}_int8", values, "int8"),
            self.graph.constant(f"{p}_scale", scale, "float32"),
            self.graph.constant(f"{p}_zero_point", np.zeros(len(scale)), "int8"),
        ]
        nodes.append(self.graph.make("DequantizeLinear", names, f"{p}_dq", axis=0))
        conv.input[at] = nodes[-1].output[0]


def parameters(ranges: Collection[Range], *, signed: bool) -> tuple[Array, Array]:
    """float32 scale [] and zero point [] for values of all these ranges.

    0 is always a code of its own, so that a missing neighbour reads exactly 0.
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
    """
    largest = np.abs(weight.reshape(len(weight), -1)).max(axis=1)
    scale = np.maximum(largest / SIGNED_LEVELS, _SMALLEST).astype(np.float32)
    steps = np.rint(weight / scale.reshape(-1, *[1] * (weight.ndim - 1)))
    return np.clip(steps, -SIGNED_LEVELS, SIGNED_LEVELS).astype(np.int8), scale
