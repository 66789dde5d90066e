"""Fold batch norm and constant factors into the preceding convolution."""

from __future__ import annotations

from dataclasses import dataclass
from typing import ClassVar, NamedTuple

import numpy as np
import onnx

from lc_trt.compiler.graph import Array, Graph
from lc_trt.compiler.pass_manager import PassReport
from lc_trt.compiler.passes.convolution import Convolution, convolution
from lc_trt.ir.node_view import NodeView


@dataclass(frozen=True)
class FoldBatchNorm:
    """Folds ``bn(conv(x))`` and ``factor * conv(x)`` into one convolution.

    Requires that the convolution has no other reader, and that a region convolution has no
    activation or residual yet.

    Attributes:
        region_factors: whether to fold factors into region convolutions; TensorRT's have an
            attribute for them.
    """

    name: ClassVar[str] = "fold_batch_norm"
    region_factors: bool = True

    def apply(self, graph: Graph) -> PassReport:
        """Fold, including chains of batch norms and factors."""
        report, uses = PassReport(), graph.edges().uses
        # Maps the output of a folded node to its convolution, for the next node of a chain.
        behind: dict[str, Convolution] = {}
        renamed: dict[str, str] = {}
        nodes: list[onnx.NodeProto] = []
        for node in graph.nodes:
            conv = convolution(node)
            step = _affine(graph, node, behind) if conv is None else None
            if conv is not None:
                behind[conv.output_name] = conv
            elif step is not None:
                conv = behind[step.source]
                reason = self._reason_to_stay(graph, node, conv, uses[step.source])
                if reason is None:
                    _scale(graph, conv, step)
                    renamed[node.output[0]] = conv.output_name
                    behind[node.output[0]] = conv
                    report.rewrites += 1
                    continue
                report.skip(node, reason)
            nodes.append(node)
        graph.nodes = nodes
        graph.rename_uses(renamed)
        return report

    def _reason_to_stay(
        self, graph: Graph, node: onnx.NodeProto, conv: Convolution, uses: int
    ) -> str | None:
        if uses != 1:
            return f"{conv.node.name!r} before it is read {uses} times"
        if conv.weight not in graph.constants:
            return f"the weight of {conv.node.name!r} before it is not a constant"
        if not conv.in_region:
            return None
        if node.op_type == "Mul" and not self.region_factors:
            return "RegionConv has an attribute for a factor"
        residual = graph.constants.get(conv.input("residual"))
        if residual is None or residual.any():
            return f"{conv.node.name!r} before it adds a residual"
        if conv.attribute("activation"):
            return f"{conv.node.name!r} before it has an activation"
        if conv.attribute("residual_scale") != 1.0:
            return f"{conv.node.name!r} before it has a factor"
        return None


class _Affine(NamedTuple):
    """``factor * source + shift``; float64, one value per channel or one for all."""

    source: str
    factor: Array
    shift: Array


def _affine(graph: Graph, node: onnx.NodeProto, behind: dict[str, Convolution]) -> _Affine | None:
    """The affine step that a node applies to the result of a convolution; None for others."""
    if node.domain != "" or node.op_type not in ("BatchNormalization", "Mul"):
        return None
    view = NodeView(node)
    if node.op_type == "Mul":
        a, b = view.input("A"), view.input("B")
        for source, other in ((a, b), (b, a)):
            value = graph.constants.get(other)
            if source in behind and value is not None and value.size == 1:
                return _Affine(source, value.reshape(1).astype(np.float64), np.zeros(1))
        return None
    source = view.input("X")
    names = [view.input(name) for name in ("scale", "B", "input_mean", "input_var")]
    if source not in behind or not all(name in graph.constants for name in names):
        return None
    scale, shift, mean, var = (graph.constants[name].astype(np.float64) for name in names)
    factor = scale / np.sqrt(var + view.attribute("epsilon"))
    return _Affine(source, factor, shift - mean * factor)


def _scale(graph: Graph, conv: Convolution, step: _Affine) -> None:
    weight = graph.constants[conv.weight]
    outputs = weight.shape[0]
    bias = graph.constants[conv.bias].astype(np.float64) if conv.bias else np.zeros(outputs)
    factor = np.broadcast_to(step.factor, outputs)
    scaled = weight.astype(np.float64) * factor.reshape(-1, *[1] * (weight.ndim - 1))
    p = conv.node.name
    conv.weight = graph.constant(f"{p}/weight_folded", scaled, weight.dtype)
    conv.bias = graph.constant(f"{p}/bias_folded", bias * factor + step.shift, weight.dtype)
