"""Merge 1x1 branches that read the same rows into one matrix product."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any, ClassVar

import numpy as np
import onnx

from lc_trt.compiler.graph import Edges, Graph
from lc_trt.compiler.lower_tensorrt.operators import LoweringState, has_residual, region_conv
from lc_trt.compiler.pass_manager import PassReport
from lc_trt.ir.node_view import NodeView
from lc_trt.ir.region_ops import REGION_CONV


@dataclass(frozen=True)
class MergeBranches:
    """Merges RegionConv nodes that differ only in their weights into a wide one and a Split.

    Requires that only region convolutions read the branches, directly or concatenated: these can
    read a part of the channels, so that the Split is removed (`segments`).

    Attributes:
        state: shared state; INT8 convolutions are merged only with each other.
    """

    name: ClassVar[str] = "merge_branches"
    state: LoweringState

    def apply(self, graph: Graph) -> PassReport:
        """Merge; the report counts branches."""
        report = PassReport()
        groups = {group[0].node.name: group for group in self._groups(graph, report)}
        merged = {conv.node.name for group in groups.values() for conv in group}
        nodes: list[onnx.NodeProto] = []
        for node in graph.nodes:
            if node.name in groups:
                # At the position of the first, because all have the same inputs.
                nodes += self._merge(graph, groups[node.name])
                report.rewrites += len(groups[node.name])
            elif node.name not in merged:
                nodes.append(node)
        graph.nodes = nodes
        return report

    def _groups(self, graph: Graph, report: PassReport) -> list[list[NodeView]]:
        edges, outputs = graph.edges(), {output.name for output in graph.outputs}
        groups: dict[tuple[Any, ...], list[NodeView]] = {}
        for node in graph.nodes:
            conv = region_conv(node)
            if conv is None or list(conv.attribute("kernel_shape")) != [1, 1]:
                continue
            y = conv.output("y")
            if has_residual(graph, conv):
                report.skip(node, "it adds a residual")
            elif y in outputs or not _read_in_parts(y, edges):
                report.skip(node, "its result has readers other than region convolutions")
            else:
                epilogue = (conv.attribute("residual_scale"), conv.attribute("activation"))
                int8 = node.name in self.state.int8_convolutions
                key = (conv.input("x"), conv.region(), *epilogue, int8)
                groups.setdefault(key, []).append(conv)
        return [group for group in groups.values() if len(group) > 1]

    def _merge(self, graph: Graph, group: list[NodeView]) -> list[onnx.NodeProto]:
        first = group[0]
        weight, bias = (
            np.concatenate([graph.constants[conv.input(name)] for conv in group])
            for name in ("weight", "bias")
        )
        sizes = [graph.constants[conv.input("bias")].size for conv in group]
        p = f"{first.node.name}/merged"
        name = graph.unique(p)
        conv = REGION_CONV.node(
            name, [name],
            region=first.region(), x=first.input("x"),
            weight=graph.constant(f"{p}/weight", weight, weight.dtype),
            bias=graph.constant(f"{p}/bias", bias, bias.dtype),
            residual=first.input("residual"), **first.attributes(),
        )  # fmt: skip
        if first.node.name in self.state.int8_convolutions:
            self.state.int8_convolutions.add(conv.name)
        sizes_name = graph.constant(f"{p}/sizes", sizes, np.int64)
        outputs = [branch.output("y") for branch in group]
        split = graph.make("Split", [name, sizes_name], f"{p}/split", outputs=outputs, axis=1)
        return [conv, split]


def _read_in_parts(name: str, edges: Edges) -> bool:
    """Whether all readers of a tensor are region convolutions, with it as ``x``."""
    for node in edges.readers.get(name, []):
        conv = region_conv(node)
        if conv is not None:
            if conv.input("x") != name or list(node.input).count(name) > 1:
                return False
        elif node.op_type != "Concat" or not _read_in_parts(node.output[0], edges):
            return False
    return True
