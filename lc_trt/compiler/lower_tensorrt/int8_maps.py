"""INT8 on the map: Q and DQ at the positions where TensorRT fuses them."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any, ClassVar

import onnx

from lc_trt.compiler.graph import Graph
from lc_trt.compiler.lower_tensorrt.operators import LoweringState
from lc_trt.compiler.options import Quantization
from lc_trt.compiler.pass_manager import PassReport
from lc_trt.compiler.passes.insert_qdq import Quantizer
from lc_trt.compiler.passes.quantization_plan import moved
from lc_trt.ir.node_view import NodeView
from lc_trt.ir.operator_schema import is_region
from lc_trt.ir.region_ops import REGION_SCATTER, REGION_SELECT


@dataclass(frozen=True)
class Int8Maps:
    """Quantises the standard convolutions of a lowered model, and what region operators read.

    Activations are int8 with zero point 0, TensorRT's only form. Operators that only move values
    (Concat, MaxPool) are placed between DQ and Q with equal scales, instead of operating on INT8:
    TensorRT moves Q and DQ past them and fuses those around each convolution.

    Raises LcTrtError if a tensor has no range.

    Attributes:
        quantization: ranges, and the convolutions that stay in floating point.
        state: shared state, with the plan.
    """

    name: ClassVar[str] = "int8_maps"
    quantization: Quantization
    state: LoweringState

    def apply(self, graph: Graph) -> PassReport:
        """Quantise; the report counts convolutions."""
        assert self.state.plan is not None, "int8_plan must run first"
        quantizer = _MapQuantizer(
            graph, self.quantization, self.state.plan, self.state.quantised, signed=True
        )
        return quantizer.run()


class _MapQuantizer(Quantizer):
    def __init__(self, graph: Graph, *arguments: Any, **options: Any) -> None:
        super().__init__(graph, *arguments, **options)
        self.entered = {
            tensor
            for node in graph.nodes
            if is_region(node) and not is_region(node, REGION_SELECT)
            for tensor in NodeView(node).inputs("x")
        }

    def rewrite(self, node: onnx.NodeProto) -> None:
        if is_region(node):
            self.nodes.append(node)
            if is_region(node, REGION_SCATTER) and node.output[0] in self.tensors:
                self.renamed[node.output[0]] = self.activation(node.output[0])
            return
        # A Pad from `int8_padding`: its zeros are representable at any scale.
        is_padding = node.op_type == "Pad" and node.output[0] in self.entered
        if not is_padding or not self.between(node, [NodeView(node).input("data")]):
            super().rewrite(node)

    def move(self, node: onnx.NodeProto) -> bool:
        return self.between(node, moved(node))

    def between(self, node: onnx.NodeProto, tensors: Sequence[str]) -> bool:
        """Place a node between DQ and Q; return False if its inputs have no common scale."""
        quantised = self.in_8_bits(tensors)
        if quantised is None:
            return False
        self.nodes.append(node)
        output = node.output[0]
        self.renamed[output] = self.around(output, quantised[1])
        return True
