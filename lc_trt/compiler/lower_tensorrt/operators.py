"""Helpers for operators on rows, and the state that the passes share."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field
from typing import NamedTuple

import onnx

from lc_trt.compiler.graph import Graph
from lc_trt.compiler.passes.quantization_plan import QuantizationPlan
from lc_trt.ir.node_view import NodeView
from lc_trt.ir.operator_schema import Region, is_region
from lc_trt.ir.region_ops import REGION_CONV, REGION_SELECT, ROW_OPERATORS

# Standard operators that only move values, with the input that these come from.
MOVED_INPUT: Mapping[str, str] = {
    "Squeeze": "data", "Unsqueeze": "data", "Slice": "data", "Reshape": "data", "Gather": "data",
    "Transpose": "data", "Identity": "input", "Flatten": "input",
}  # fmt: skip


class ChannelRange(NamedTuple):
    """Channels ``begin`` to ``end`` of a tensor of rows [R, C]."""

    tensor: str
    begin: int
    end: int

    @property
    def channels(self) -> int:
        """Number of channels."""
        return self.end - self.begin


@dataclass
class LoweringState:
    """State that the passes of the lowering share, besides the graph.

    Attributes:
        plan: quantisation plan of the calibrated model; None without INT8.
        quantised: tensors to quantise.
        int8_convolutions: names of RegionConv nodes to run in INT8.
        channels: current location of the channels, by tensor of rows of the exchange model.
    """

    plan: QuantizationPlan | None = None
    quantised: set[str] = field(default_factory=set)
    int8_convolutions: set[str] = field(default_factory=set)
    channels: dict[str, list[ChannelRange]] = field(default_factory=dict)


def moved_input(node: onnx.NodeProto) -> str | None:
    """The tensor whose values a standard operator moves; None for another node.

    Args:
        node: node of any operator.
    """
    if node.domain != "" or node.op_type not in MOVED_INPUT:
        return None
    return NodeView(node).input(MOVED_INPUT[node.op_type])


def region_conv(node: onnx.NodeProto) -> NodeView | None:
    """A view of a RegionConv; None for another node.

    Args:
        node: node of any operator.
    """
    return NodeView(node) if is_region(node, REGION_CONV) else None


def has_residual(graph: Graph, conv: NodeView) -> bool:
    """Whether a RegionConv has a residual; zeros [1, 1] stand for none.

    Args:
        graph: graph with the constants.
        conv: a RegionConv of the graph.
    """
    value = graph.constants.get(conv.input("residual"))
    return value is None or value.shape != (1, 1) or bool(value.any())


def selected_regions(nodes: Iterable[onnx.NodeProto]) -> dict[str, Region]:
    """The regions that RegionSelect makes, by their ``rows``.

    Args:
        nodes: of a graph.
    """
    regions: dict[str, Region] = {}
    for node in nodes:
        if is_region(node, REGION_SELECT):
            select = NodeView(node)
            region = Region(*(select.output(n) for n in ("rows", "index", "count", "hard")))
            regions[region.rows] = region
    return regions


def row_tensors(nodes: Iterable[onnx.NodeProto]) -> set[str]:
    """Tensors of rows of a region, and those that standard operators compute from them.

    In TensorRT, they have a row for every pixel of the map; the first ``count`` rows are valid.

    Args:
        nodes: in topological order.
    """
    rows: set[str] = set()
    for node in nodes:
        if is_region(node, *ROW_OPERATORS):
            rows.add(node.output[0])
        elif not is_region(node) and node.op_type != "Shape" and rows & set(node.input):
            rows.update(node.output)
    return rows


def segments_of(conv: NodeView) -> list[tuple[str, int, int]]:
    """Tensor, first channel and end channel of each segment of a RegionConv.

    Args:
        conv: segmented RegionConv.
    """
    begins, ends = conv.attribute("channel_begin"), conv.attribute("channel_end")
    return list(zip(conv.inputs("x"), begins, ends, strict=True))
