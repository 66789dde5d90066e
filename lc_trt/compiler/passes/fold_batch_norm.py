"""Batch norm, and a constant factor, go into the convolution before them."""

from __future__ import annotations

import numpy as np
import onnx

from lc_trt.compiler.graph import Array, EditableGraph, attributes
from lc_trt.ir.interface import DOMAIN

# Where the weight and the bias stand among a convolution's inputs.
_PLACES = {("", "Conv"): (1, 2), (DOMAIN, "RegionConv"): (4, 5)}


def fold_affine(model: onnx.ModelProto, *, region_factors: bool = True) -> onnx.ModelProto:
    """``bn(conv(x))`` and ``factor * conv(x)`` become one convolution.

    Only where the convolution has no other reader, and a region convolution no
    activation or residual of its own yet.

    Args:
        region_factors: False leaves factors on region convolutions, for which TensorRT's have
            an attribute.
    """
    graph = EditableGraph(model)
    uses = graph.use_counts()
    # Folds chain (conv, batch norm, factor): a folded node's output then stands for its conv.
    behind: dict[str, onnx.NodeProto] = {}
    renamed: dict[str, str] = {}
    kept: list[onnx.NodeProto] = []
    for node in graph.nodes:
        if (node.domain, node.op_type) in _PLACES:
            if _is_linear(node, graph):
                behind[node.output[0]] = node
            kept.append(node)
            continue
        source, affine = _affine(node, graph, behind)
        stays = node.op_type == "Mul" and not region_factors and source in behind
        if affine is None or uses[source] != 1 or (stays and behind[source].domain == DOMAIN):
            kept.append(node)
            continue
        conv = behind[source]
        _scale(graph, conv, *affine)
        renamed[node.output[0]] = conv.output[0]
        behind[node.output[0]] = conv
    graph.nodes = kept
    graph.rename_uses(renamed)
    return graph.model()


def _is_linear(conv: onnx.NodeProto, graph: EditableGraph) -> bool:
    """Whether a factor on the result is one on the weights: no activation, nothing added."""
    if conv.domain != DOMAIN:
        return True
    residual = graph.constants.get(conv.input[6])
    alone = residual is not None and not residual.any()
    found = attributes(conv)
    return alone and not found.get("activation", 0) and found.get("residual_scale", 1.0) == 1.0


def _affine(
    node: onnx.NodeProto, graph: EditableGraph, behind: dict[str, onnx.NodeProto]
) -> tuple[str, tuple[Array, Array] | None]:
    """The folded tensor and (factor, shift) a channel, if this node is such a step."""
    if node.op_type == "BatchNormalization" and node.input[0] in behind:
        scale, shift, mean, var = (
            graph.constants[name].astype(np.float64) for name in node.input[1:5]
        )
        factor = scale / np.sqrt(var + attributes(node).get("epsilon", 1e-5))
        return node.input[0], (factor, shift - mean * factor)
    if node.op_type == "Mul":
        for source, other in (node.input, node.input[::-1]):
            value = graph.constants.get(other)
            if source in behind and value is not None and value.size == 1:
                return source, (value.reshape(1).astype(np.float64), np.zeros(1))
    return "", None


def _scale(graph: EditableGraph, conv: onnx.NodeProto, factor: Array, shift: Array) -> None:
    weight_at, bias_at = _PLACES[conv.domain, conv.op_type]
    weight = graph.constants[conv.input[weight_at]]
    outputs = weight.shape[0]
    has_bias = len(conv.input) > bias_at and conv.input[bias_at] != ""
    bias = (
        graph.constants[conv.input[bias_at]].astype(np.float64) if has_bias else np.zeros(outputs)
    )
    factor = np.broadcast_to(factor, outputs)
    scaled = weight.astype(np.float64) * factor.reshape(-1, *[1] * (weight.ndim - 1))
    names = [
        graph.constant(f"{conv.name}/weight_folded", scaled, weight.dtype),
        graph.constant(f"{conv.name}/bias_folded", bias * factor + shift, weight.dtype),
    ]
    conv.input[weight_at] = names[0]
    if has_bias or len(conv.input) > bias_at:
        conv.input[bias_at] = names[1]
    else:
        conv.input.append(names[1])
