"""Remove Concat and Split on rows: region convolutions read segments.

A tensor of rows is represented by a list of channel ranges of existing tensors. A Concat joins
lists, a Split cuts them, and a RegionConv reads the ranges as its K segments. All rows of a dense
map, which standard operators make, are such a tensor for the operators that read them by an index
of their own; on these, TensorRT's layers may operate as well. A convolution whose
residual is a concatenation is split by output channels, one RegionConv per range. This needs no
additional multiplications, and the concatenation is never copied.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import ClassVar

import numpy as np
import onnx

from lc_trt.compiler.graph import Array, Graph
from lc_trt.compiler.lower_tensorrt.operators import (
    ChannelRange,
    LoweringState,
    has_residual,
    region_conv,
    selected_regions,
)
from lc_trt.compiler.lower_tensorrt.verify import refusal
from lc_trt.compiler.pass_manager import PassReport
from lc_trt.errors import LcTrtError
from lc_trt.ir.node_view import NodeView
from lc_trt.ir.operator_schema import MAX_SEGMENTS, Form, is_region
from lc_trt.ir.region_ops import REGION_CONV, REGION_GATHER, REGION_MAX_POOL, REGION_RESTRICT

OHWI = 1  # value of weight_layout; the fastest layout for the kernel


@dataclass(frozen=True)
class Segments:
    """Converts every RegionConv to a segmented form (`operator_schema.Form`).

    Raises LcTrtError if an operator other than a region operator, or a Concat or Split of channels,
    reads rows, if an operator needs a concatenation as a single tensor, or if a weight is not
    constant.

    Attributes:
        state: shared state; `LoweringState.channels` is set.
    """

    name: ClassVar[str] = "segments"
    state: LoweringState

    def apply(self, graph: Graph) -> PassReport:
        """Convert; the report counts RegionConv, Concat and Split nodes.

        Args:
            graph: graph to edit in place.
        """
        return _Segmentation(graph, self.state).run()


class _Segmentation:
    def __init__(self, graph: Graph, state: LoweringState) -> None:
        self.graph, self.state, self.report = graph, state, PassReport()
        self.types = graph.types()
        self.indices = {region.index for region in selected_regions(graph.nodes).values()}
        self.dense: set[str] = set()  # tensors of rows that standard operators make
        self.widths: dict[str, int] = {}  # channels of the existing tensors
        self.nodes: list[onnx.NodeProto] = []

    @property
    def ranges(self) -> dict[str, list[ChannelRange]]:
        """Channel ranges of existing tensors, and of removed concatenations and splits."""
        return self.state.channels

    def run(self) -> PassReport:
        for node in self.graph.nodes:
            conv = region_conv(node)
            if conv is not None:
                self.conv(conv)
            elif is_region(node, REGION_RESTRICT, REGION_MAX_POOL):
                self.each_tensor(NodeView(node))
            elif not self.follow(node):
                self.other(node)
            if is_region(node, REGION_GATHER):
                gather = NodeView(node)
                channels = self.channels(gather, gather.input("x"), rank=4)
                self.add(gather.output("y"), channels)
        self.graph.nodes = self.nodes
        return self.report

    def other(self, node: onnx.NodeProto) -> None:
        """An operator that reads whole tensors of rows, or no rows."""
        for i, name in enumerate(node.input):
            if name in self.ranges and name not in self.dense:
                if not is_region(node):
                    raise refusal(node, name)
                node.input[i] = self.whole(node, name)
        self.nodes.append(node)

    def ranges_of(self, node: NodeView, name: str) -> list[ChannelRange]:
        """The ranges of rows of a region."""
        if name not in self.ranges:
            raise LcTrtError(
                f"node {node.node.name!r} ({node.node.op_type}) reads {name!r}, which is not the "
                "output of a region operator"
            )
        return self.ranges[name]

    def sources_of(self, node: NodeView) -> list[ChannelRange]:
        """The ranges of input ``x``, which may be all rows of a dense map."""
        x = node.input("x")
        if x not in self.ranges and node.input("index") not in self.indices:
            self.add(x, self.channels(node, x, rank=2))
            self.dense.add(x)
        return self.ranges_of(node, x)

    def add(self, tensor: str, channels: int) -> ChannelRange:
        """Record an existing tensor."""
        self.widths[tensor] = channels
        self.ranges[tensor] = [ChannelRange(tensor, 0, channels)]
        return self.ranges[tensor][0]

    def whole(self, node: onnx.NodeProto, name: str) -> str:
        """The existing tensor for a name; raises if it consists of several ranges."""
        first, *rest = self.ranges[name]
        if rest or first != ChannelRange(first.tensor, 0, self.widths[first.tensor]):
            raise refusal(node, name)
        return first.tensor

    def channels(self, node: NodeView, x: str, *, rank: int) -> int:
        """The channels of a map or of rows, from their type."""
        dims = self.types[x].dims if x in self.types else None
        channels = dims[1] if dims is not None and len(dims) == rank else None
        if channels is None:
            raise LcTrtError(
                f"node {node.node.name!r}: the channels of {x!r} could not be inferred"
            )
        return channels

    def follow(self, node: onnx.NodeProto) -> bool:
        """Record a Concat or Split of channels of rows; return False for other nodes."""
        if node.domain != "" or node.op_type not in ("Concat", "Split"):
            return False
        view = NodeView(node)
        if view.attribute("axis") != 1:
            return False
        if node.op_type == "Concat":
            inputs = view.inputs("inputs")
            if not all(name in self.ranges for name in inputs):
                return False
            joined = [one for name in inputs for one in self.ranges[name]]
            self.ranges[view.output("concat_result")] = _coalesced(joined)
        else:
            x = view.input("input")
            if x not in self.ranges:
                return False
            begin = 0
            sizes = self.graph.constants[view.input("split")].tolist()
            for output, size in zip(node.output, sizes, strict=True):
                self.ranges[output] = _cut(self.ranges[x], begin, begin + size)
                begin += size
        self.report.rewrites += 1
        return True

    def each_tensor(self, node: NodeView) -> None:
        """Apply a per-channel operator to each tensor of its input's ranges."""
        ranges = self.sources_of(node)
        tensors = list(dict.fromkeys(one.tensor for one in ranges))
        results: dict[str, str] = {}
        for number, tensor in enumerate(tensors):
            proto = onnx.NodeProto()
            proto.CopyFrom(node.node)
            copy = NodeView(proto)
            copy.set_input("x", tensor)
            if len(tensors) > 1:
                proto.name = self.graph.unique(f"{node.node.name}/{number}")
                copy.set_output("y", proto.name)
            results[tensor] = self.add(copy.output("y"), self.widths[tensor]).tensor
            self.nodes.append(proto)
        self.ranges[node.output("y")] = [one._replace(tensor=results[one.tensor]) for one in ranges]

    def conv(self, conv: NodeView) -> None:
        """Create one RegionConv per range of the residual."""
        weight = self.graph.constants.get(conv.input("weight"))
        bias = self.graph.constants.get(conv.input("bias"))
        if weight is None or bias is None:
            raise LcTrtError(f"node {conv.node.name!r}: its weight and bias are not constants")
        residual = conv.input("residual")
        added = [ChannelRange(residual, 0, weight.shape[0])]
        if has_residual(self.graph, conv):
            added = self.ranges_of(conv, residual)
        outputs: list[ChannelRange] = []
        begin = 0
        for number, one in enumerate(added):
            if one.tensor in self.ranges:
                self.whole(conv.node, one.tensor)
            name, output = conv.node.name, conv.output("y")
            if len(added) > 1:
                name = output = self.graph.unique(f"{conv.node.name}/{number}")
            rows = slice(begin, begin + one.channels)
            self.segmented(conv, name, weight[rows], bias[rows], one.tensor, output)
            outputs.append(self.add(output, one.channels))
            begin += one.channels
        self.ranges[conv.output("y")] = outputs
        self.report.rewrites += 1

    def segmented(
        self, conv: NodeView, name: str, weight: Array, bias: Array, residual: str, output: str
    ) -> None:
        """Create one RegionConv per eight input ranges; each is the residual of the next."""
        ranges = self.sources_of(conv)
        groups = [ranges[i : i + MAX_SEGMENTS] for i in range(0, len(ranges), MAX_SEGMENTS)]
        begin = 0
        for number, group in enumerate(groups):
            last = number == len(groups) - 1
            own = name if last else self.graph.unique(f"{name}/partial")
            channels = sum(one.channels for one in group)
            self.nodes.append(
                self.plugin_form(
                    conv, own, group,
                    weight=weight[:, begin : begin + channels],
                    bias=np.zeros_like(bias) if number else bias,
                    residual=residual,
                    output=output if last else own,
                    activation=conv.attribute("activation") if last else 0,
                )
            )  # fmt: skip
            residual = own
            begin += channels

    def plugin_form(
        self, conv: NodeView, name: str, group: Sequence[ChannelRange], *,
        weight: Array, bias: Array, residual: str, output: str, activation: int,
    ) -> onnx.NodeProto:  # fmt: skip
        if conv.node.name in self.state.int8_convolutions:
            self.state.int8_convolutions.add(name)
        return REGION_CONV.node(
            name, [output], form=Form(len(group)), region=conv.region(),
            x=[one.tensor for one in group],
            weight=self.graph.constant(f"{name}/weight", np.moveaxis(weight, 1, 3), weight.dtype),
            bias=self.graph.constant(f"{name}/bias", bias, bias.dtype),
            residual=residual,
            **(conv.attributes() | {"activation": activation}),
            weight_layout=OHWI,
            channel_begin=[one.begin for one in group],
            channel_end=[one.end for one in group],
        )  # fmt: skip


def _coalesced(ranges: Sequence[ChannelRange]) -> list[ChannelRange]:
    """Merge adjacent ranges of the same tensor."""
    joined: list[ChannelRange] = []
    for one in ranges:
        if joined and joined[-1].tensor == one.tensor and joined[-1].end == one.begin:
            joined[-1] = ChannelRange(one.tensor, joined[-1].begin, one.end)
        else:
            joined.append(one)
    return joined


def _cut(ranges: Sequence[ChannelRange], begin: int, end: int) -> list[ChannelRange]:
    """Channels ``begin`` to ``end`` of concatenated ranges."""
    cut, start = [], 0
    for one in ranges:
        low, high = max(begin - start, 0), min(end - start, one.channels)
        if low < high:
            cut.append(ChannelRange(one.tensor, one.begin + low, one.begin + high))
        start += one.channels
    return cut
