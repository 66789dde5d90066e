"""Quantise the biases of 8-bit products to int32."""

from __future__ import annotations

from typing import ClassVar

import numpy as np
import onnx

from lc_trt.compiler.graph import Edges, Graph
from lc_trt.compiler.lower_standard.int8 import Dequantized, dequantized
from lc_trt.compiler.rewrite import RewriteRule
from lc_trt.ir.node_view import NodeView

# Names of x, weight and bias.
_NAMES = {"Conv": ("X", "W", "B"), "Gemm": ("A", "B", "C")}


class Int32Bias(RewriteRule):
    """Quantises biases of 8-bit Conv and Gemm to int32, with the scale of the product.

    ONNX Runtime requires this for its integer kernels.
    """

    name: ClassVar[str] = "int32_bias"

    def pattern(self, node: onnx.NodeProto) -> bool:
        """A Conv or Gemm."""
        return node.domain == "" and node.op_type in _NAMES

    def check(self, graph: Graph, edges: Edges, node: onnx.NodeProto) -> str | None:
        """Both factors must be quantised."""
        del graph
        x, weight = _factors(edges, node)
        if x is None and weight is None:
            return "it is in floating point"
        return None if x and weight else "only one of its factors is quantised"

    def rewrite(self, graph: Graph, edges: Edges, node: onnx.NodeProto) -> list[onnx.NodeProto]:
        """Add a DequantizeLinear of the bias before the product."""
        x, weight = _factors(edges, node)
        assert x is not None and weight is not None  # see check
        view, name = NodeView(node), _NAMES[node.op_type][2]
        scale = graph.constants[x.scale] * graph.constants[weight.scale]
        bias = view.input(name)
        value = graph.constants[bias].reshape(-1) if bias else np.zeros(len(scale))
        limits = np.iinfo(np.int32)
        # FP32 would round the upper limit up, beyond int32.
        steps = np.clip(np.rint(value / scale.astype(np.float64)), limits.min, limits.max)
        p = f"{node.name}/bias"
        names = [
            graph.constant(f"{p}_int32", steps, "int32"),
            graph.constant(f"{p}_scale", scale, "float32"),
            graph.constant(f"{p}_zero_point", np.zeros(len(scale)), "int32"),
        ]
        decoded = graph.make("DequantizeLinear", names, f"{p}_dq", axis=0)
        view.set_input(name, decoded.output[0])
        return [decoded, node]


def _factors(edges: Edges, node: onnx.NodeProto) -> tuple[Dequantized | None, Dequantized | None]:
    """The DequantizeLinear inputs of both factors of a product; None for floating point."""
    view, (x, weight, _) = NodeView(node), _NAMES[node.op_type]
    return _decoder(edges, view.input(x)), _decoder(edges, view.input(weight))


def _decoder(edges: Edges, tensor: str) -> Dequantized | None:
    producer = edges.producers.get(tensor)
    return None if producer is None else dequantized(producer)
