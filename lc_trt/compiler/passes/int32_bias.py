"""Biases of 8-bit products as int32."""

from __future__ import annotations

import numpy as np
import onnx

from lc_trt.compiler.graph import EditableGraph
from lc_trt.compiler.lower_standard.int8 import Dequantized, find_dequantized


def integer_bias(model: onnx.ModelProto) -> onnx.ModelProto:
    """Biases of Conv and Gemm with 8-bit inputs and weights as int32 at the product's scale.

    ONNX Runtime takes its integer kernels for no other.
    """
    graph = EditableGraph(model)
    decoded: dict[str, Dequantized] = {}
    nodes: list[onnx.NodeProto] = []
    for node in graph.nodes:
        decoded |= find_dequantized(node)
        if node.op_type in ("Conv", "Gemm") and all(name in decoded for name in node.input[:2]):
            x, weight = (decoded[name] for name in node.input[:2])
            scale = graph.constants[x.scale] * graph.constants[weight.scale]
            bias = np.zeros(len(scale)) if len(node.input) < 3 else graph.constants[node.input[2]]
            limits = np.iinfo(np.int32)
            steps = np.clip(np.rint(bias.reshape(-1) / scale), limits.min, limits.max)
            p = f"{node.name}/bias"
            names = [
                graph.constant(f"{p}_int32", steps, "int32"),
                graph.constant(f"{p}_scale", scale, "float32"),
                graph.constant(f"{p}_zero_point", np.zeros(len(scale)), "int32"),
            ]
            nodes.append(graph.make("DequantizeLinear", names, f"{p}_dq", axis=0))
            inputs = [*node.input[:2], nodes[-1].output[0]]
            del node.input[:]
            node.input.extend(inputs)
        nodes.append(node)
    graph.nodes = nodes
    return graph.model()
