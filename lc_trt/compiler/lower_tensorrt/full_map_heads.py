"""Softmax and confidence after a stage's results are written back, on the whole map.

On a region's rows they would be layers of TensorRT's own, which know no count and run over as
many rows as the map has pixels, as buffers of that size. Both are of one pixel each, so that
writing back commutes with them.
"""

from __future__ import annotations

import onnx

from lc_trt.compiler.graph import Array, EditableGraph, attributes
from lc_trt.ir.interface import DOMAIN


def scatter_logits(model: onnx.ModelProto) -> onnx.ModelProto:
    """``scatter(softmax(x), softmax(y))`` becomes ``softmax(scatter(x, y))``.

    The same for the largest probability of both, which becomes that of the merged ones.
    """
    return _Scatters(EditableGraph(model)).run()


class _Scatters:
    def __init__(self, graph: EditableGraph) -> None:
        self.graph = graph
        self.softmaxes: dict[str, onnx.NodeProto] = {}  # by their output
        self.maxima: dict[str, onnx.NodeProto] = {}
        # What (rows, x, base) were merged into.
        self.merged: dict[tuple[str, str, str], str] = {}

    def run(self) -> onnx.ModelProto:
        nodes: list[onnx.NodeProto] = []
        for node in self.graph.nodes:
            if node.op_type == "Softmax" and attributes(node).get("axis", -1) == 1:
                self.softmaxes[node.output[0]] = node
            elif node.op_type == "ReduceMax" and self.over_channels(node):
                self.maxima[node.output[0]] = node
            if node.domain == DOMAIN and node.op_type == "RegionScatter":
                nodes += self.scatter(node)
            else:
                nodes.append(node)
        self.graph.nodes = nodes
        return self.graph.model()

    def over_channels(self, node: onnx.NodeProto) -> bool:
        axes: Array | None = self.graph.constants.get(node.input[1]) if node.input[1:] else None
        kept = attributes(node).get("keepdims", 1) == 1
        return kept and axes is not None and axes.tolist() == [1]

    def scatter(self, node: onnx.NodeProto) -> list[onnx.NodeProto]:
        x, rows, count, base = node.input
        y = node.output[0]
        if x in self.softmaxes and base in self.softmaxes:
            self.merged[rows, x, base] = y
            logits = [self.softmaxes[x].input[0], rows, count, self.softmaxes[base].input[0]]
            written = self.graph.make("RegionScatter", logits, f"{node.name}/logits", domain=DOMAIN)
            softmax = self.graph.make("Softmax", written.output, node.name, outputs=[y], axis=1)
            self.softmaxes[y] = softmax
            return [written, softmax]
        if x in self.maxima and base in self.maxima:
            largest, other = self.maxima[x], self.maxima[base]
            merged = self.merged.get((rows, largest.input[0], other.input[0]))
            if merged is not None:
                over = [merged, largest.input[1]]
                maximum = self.graph.make("ReduceMax", over, node.name, outputs=[y], keepdims=1)
                self.maxima[y] = maximum
                return [maximum]
        return [node]
