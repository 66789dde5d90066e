"""INT8 on the map: Q and DQ where TensorRT looks for them to fuse."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import onnx

from lc_trt.compiler.graph import Graph
from lc_trt.compiler.lower_tensorrt.operators import is_region
from lc_trt.compiler.passes.insert_qdq import Quantization, Quantizer
from lc_trt.compiler.passes.quantization_plan import QuantizationPlan, moved, quantised_inputs
from lc_trt.ir.interface import DOMAIN
from lc_trt.ir.node_view import NodeView


def quantize_maps(
    lowered: onnx.ModelProto, folded: onnx.ModelProto, plan: QuantizationPlan, how: Quantization
) -> onnx.ModelProto:
    """The standard convolutions of a lowered model in INT8, and whatever a region gathers.

    Activations are int8 with zero point 0, TensorRT's only form. What moves values (Concat,
    MaxPool) stands between a DQ and a Q of the same scale and not between codes: TensorRT
    moves Q and DQ past it, and fuses each convolution with those around it.

    Args:
        folded, plan: what was lowered, and its plan.

    Raises:
        LcTrtError: a tensor that needs a range has none.
    """
    graph = Graph(lowered)
    tensors = quantised_inputs(Graph(folded), plan, how.keep)
    _Maps(graph, how, plan, tensors, signed=True).run()
    return graph.encode()


class _Maps(Quantizer):
    def __init__(self, *arguments: Any, **options: Any) -> None:
        super().__init__(*arguments, **options)
        self.gathered = {
            node.input[0] for node in self.graph.nodes if is_region(node, "RegionGather")
        }

    def rewrite(self, node: onnx.NodeProto) -> None:
        if node.domain == DOMAIN:
            self.nodes.append(node)
            return
        # A Pad of ours (`int8_padding`): zeros behind what is gathered are values of any scale.
        widens = node.op_type == "Pad" and node.output[0] in self.gathered
        if not widens or not self.between(node, [NodeView(node).input("data")]):
            super().rewrite(node)

    def move(self, node: onnx.NodeProto) -> bool:
        return self.between(node, moved(node))

    def between(self, node: onnx.NodeProto, tensors: Sequence[str]) -> bool:
        """Let a node stand between DQ and Q, if what it moves has one scale."""
        quantised = self.in_8_bits(tensors)
        if quantised is None:
            return False
        self.nodes.append(node)
        output = node.output[0]
        self.renamed[output] = self.around(output, quantised[1])
        return True
