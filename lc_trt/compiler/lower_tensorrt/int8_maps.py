"""INT8 on the map: Q and DQ where TensorRT looks for them to fuse."""

from __future__ import annotations

from typing import Any

import onnx

from lc_trt.compiler.lower_tensorrt.operators import is_region
from lc_trt.compiler.passes.insert_qdq import Quantization, Quantizer
from lc_trt.compiler.passes.quantization_plan import QuantizationPlan, wanted_tensors
from lc_trt.ir.interface import DOMAIN


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
    return _Maps(lowered, how, plan, wanted_tensors(folded, plan, how.keep), signed=True).run()


class _Maps(Quantizer):
    def __init__(self, model: onnx.ModelProto, how: Quantization, *given: Any, **more: Any) -> None:
        super().__init__(model, how, *given, **more)
        self.gathered = {
            node.input[0] for node in self.graph.nodes if is_region(node, "RegionGather")
        }

    def pads(self, node: onnx.NodeProto) -> bool:
        """Let a Pad of ours stand between DQ and Q."""
        return node.op_type == "Pad" and self.move(node)

    def rewrite(self, node: onnx.NodeProto) -> None:
        if node.domain == DOMAIN:
            self.nodes.append(node)
        # Zeros behind what is gathered (`integer_widths`) are codes on any scale.
        elif node.output[0] not in self.gathered or not self.pads(node):
            super().rewrite(node)

    def move(self, node: onnx.NodeProto) -> bool:
        found = self.moved_codes(node)
        if found is None:
            return False
        self.nodes.append(node)
        output = node.output[0]
        self.renamed[output] = self.around(output, found[1])
        return True
