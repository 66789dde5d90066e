"""Pad channels of rows to multiples of 16, so that INT8 is copied 16 bytes at a time.

RegionConv has no fast path for other widths. If a width or the offset of a segment is not a
multiple, zero channels with zero weights are inserted.
"""

from __future__ import annotations

from dataclasses import dataclass
from itertools import pairwise
from typing import ClassVar

import numpy as np
import onnx

from lc_trt.compiler.graph import Array, Graph
from lc_trt.compiler.lower_tensorrt.int8_types import moves_rows
from lc_trt.compiler.lower_tensorrt.operators import (
    ChannelRange,
    LoweringState,
    region_conv,
    row_tensors,
    segments_of,
)
from lc_trt.compiler.pass_manager import PassReport
from lc_trt.ir.node_view import NodeView
from lc_trt.ir.operator_schema import is_region
from lc_trt.ir.region_ops import REGION_GATHER

MULTIPLE = 16


@dataclass(frozen=True)
class Int8Padding:
    """Pads rows with INT8 readers to multiples of `MULTIPLE` channels.

    Applies to each tensor of rows and each separately read part. Inputs of RegionScatter keep their
    width, as do tensors that must have the same width. All rows of a dense map get a padded copy.

    Attributes:
        state: shared state; its `channels` are updated.
    """

    name: ClassVar[str] = "int8_padding"
    state: LoweringState

    def apply(self, graph: Graph) -> PassReport:
        """Pad; the report counts padded tensors.

        Args:
            graph: graph to edit in place.
        """
        return _Padding(graph, self.state).run()


class _Layout:
    """Channel layout shared by some tensors: pieces, each padded separately."""

    def __init__(self) -> None:
        self.bounds: set[int] = {0}
        self.int8 = self.fixed = False

    @property
    def width(self) -> int:
        """Channels before padding."""
        return max(self.bounds)

    @property
    def padding(self) -> int:
        """Channels that padding adds."""
        return self.offset(self.width) - self.width

    def padded(self, begin: int, end: int) -> int:
        """Padded width of a piece."""
        multiple = MULTIPLE if self.int8 and not self.fixed else 1
        return -(-(end - begin) // multiple) * multiple

    def offset(self, channel: int) -> int:
        """New offset of a piece boundary."""
        before = sorted(bound for bound in self.bounds if bound <= channel)
        return sum(self.padded(a, b) for a, b in pairwise(before))

    def spread(self, value: Array, axis: int) -> Array:
        """Pad a weight with zeros along an axis."""
        size = list(value.shape)
        size[axis] = self.offset(self.width)
        wide = np.zeros(size, value.dtype)
        for begin, end in pairwise(sorted(self.bounds)):
            to = [slice(None)] * value.ndim
            to[axis] = slice(self.offset(begin), self.offset(begin) + end - begin)
            wide[tuple(to)] = value.take(range(begin, end), axis)
        return wide


class _Padding:
    def __init__(self, graph: Graph, state: LoweringState) -> None:
        self.graph, self.state = graph, state
        self.rows = row_tensors(graph.nodes)
        self.layouts: dict[str, _Layout] = {}
        self.dense: dict[str, str] = {}  # padded rows of dense maps by what is padded

    def run(self) -> PassReport:
        self.find_layouts()
        nodes: list[onnx.NodeProto] = []
        for node in self.graph.nodes:
            conv = region_conv(node)
            if conv is not None:
                self.conv(conv)
            elif is_region(node, REGION_GATHER):
                nodes += self.gather(NodeView(node))
            if conv is not None or moves_rows(node):
                nodes += self.sources(NodeView(node))
            nodes.append(node)
        self.graph.nodes = nodes
        for name, ranges in self.state.channels.items():
            self.state.channels[name] = [
                ChannelRange(
                    self.dense.get(one.tensor, one.tensor),
                    layout.offset(one.begin),
                    layout.offset(one.end),
                )
                for one in ranges
                for layout in [self.layouts[one.tensor]]
            ]
        return PassReport(sum(layout.padding > 0 for layout in self.layouts.values()))

    def find_layouts(self) -> None:
        rows = self.rows
        entered: list[str] = []  # rows out of maps, which can be padded only after all channels
        for node in self.graph.nodes:
            conv = region_conv(node)
            if conv is not None:
                self.conv_layout(conv, rows)
            elif moves_rows(node):
                view = NodeView(node)
                self.layouts[view.output("y")] = self.layout(view.input("x"))
            else:
                if is_region(node, REGION_GATHER):
                    entered.append(NodeView(node).output("y"))
                    self.layout(entered[-1])
                for name in self.layouts.keys() & set(node.input):
                    self.layouts[name].fixed = True
        for ranges in self.state.channels.values():
            for one in ranges:
                self.layouts[one.tensor].bounds |= {one.begin, one.end}
        entered += self.layouts.keys() - rows
        for name in entered:
            layout = self.layouts[name]
            between = sorted(layout.bounds)[:-1]
            layout.fixed |= any(layout.offset(bound) != bound for bound in between)

    def layout(self, tensor: str) -> _Layout:
        """The layout of a tensor of rows, which all rows of a dense map get when they are read."""
        return self.layouts.setdefault(tensor, _Layout())

    def conv_layout(self, conv: NodeView, rows: set[str]) -> None:
        """Record the pieces that a convolution reads and its output width."""
        y, residual = conv.output("y"), conv.input("residual")
        # A residual has the layout of the sum.
        self.layouts[y] = self.layouts[residual] if residual in rows else _Layout()
        self.layouts[y].bounds.add(len(self.graph.constants[conv.input("bias")]))
        for x, begin, end in segments_of(conv):
            self.layout(x).bounds |= {begin, end}
            self.layout(x).int8 |= conv.node.name in self.state.int8_convolutions

    def gather(self, gather: NodeView) -> list[onnx.NodeProto]:
        """Pad the map before a RegionGather."""
        padding = self.layouts[gather.output("y")].padding
        if not padding:
            return []
        pad = self.pad(gather.input("x"), [0, 0, 0, 0, 0, padding, 0, 0], gather.node.name)
        gather.set_input("x", pad.output[0])
        return [pad]

    def sources(self, node: NodeView) -> list[onnx.NodeProto]:
        """Pad the rows of dense maps before their first reader."""
        pads: list[onnx.NodeProto] = []
        tensors = node.inputs("x")
        for x in tensors:
            padding = self.layouts[x].padding if x not in self.rows else 0
            if padding and x not in self.dense:
                pads.append(self.pad(x, [0, 0, 0, padding], x))
                self.dense[x] = pads[-1].output[0]
        node.set_inputs("x", [self.dense.get(x, x) for x in tensors])
        return pads

    def pad(self, x: str, pads: list[int], path: str) -> onnx.NodeProto:
        amounts = self.graph.constant(f"{path}/pads", pads, np.int64)
        return self.graph.make("Pad", [x, amounts], f"{path}/wide")

    def conv(self, conv: NodeView) -> None:
        """Pad the weight and bias of a convolution."""
        layout = self.layouts[conv.output("y")]
        weight = self.graph.constants[conv.input("weight")]  # [Cout, kh, kw, Cin]
        bias = self.graph.constants[conv.input("bias")]
        parts, begins, ends, at = [], [], [], 0
        for x, begin, end in segments_of(conv):
            source = self.layouts[x]
            whole = np.zeros((*weight.shape[:-1], source.width), weight.dtype)
            whole[..., begin:end] = weight[..., at : at + end - begin]
            begins.append(source.offset(begin))
            ends.append(source.offset(end))
            parts.append(source.spread(whole, -1)[..., begins[-1] : ends[-1]])
            at += end - begin
        wide = layout.spread(np.concatenate(parts, axis=-1), 0)
        self.graph.constants[conv.input("weight")] = wide
        self.graph.constants[conv.input("bias")] = layout.spread(bias, 0)
        conv.set_attribute("channel_begin", begins)
        conv.set_attribute("channel_end", ends)
