"""Channels of rows in multiples of 16, so that INT8 is copied 16 bytes at a time.

RegionConv has no fast path for other widths. Where a width, or the beginning of what some
convolution reads, is no multiple, channels that are always 0 come between, with weights of 0.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from itertools import pairwise

import numpy as np
import onnx

from lc_trt.compiler.graph import Array, EditableGraph, attributes
from lc_trt.compiler.lower_tensorrt.int8_types import TAIL, marked
from lc_trt.compiler.lower_tensorrt.operators import compact_tensors, is_conv, is_region
from lc_trt.compiler.lower_tensorrt.segments import Part, Segmented

MULTIPLE = 16
_MOVES = ("RegionRestrict", "RegionMaxPool")


def widen_rows(segmented: Segmented) -> Segmented:
    """The same network, with multiples of `MULTIPLE` channels wherever INT8 is read.

    In each tensor of rows and in each part that is read by itself. What RegionScatter reads keeps
    its width, as do tensors that have to be as wide as it.
    """
    return _Widths(*segmented).run()


class _Layout:
    """Where the channels of tensors that are alike have gone: pieces, each with its room."""

    def __init__(self) -> None:
        self.bounds: set[int] = {0}
        self.integer = self.fixed = False

    def room(self, begin: int, end: int) -> int:
        """How many channels a piece has now."""
        step = MULTIPLE if self.integer and not self.fixed else 1
        return -(-(end - begin) // step) * step

    def place(self, channel: int) -> int:
        """Where a piece that begins or ends here does now."""
        before = sorted(bound for bound in self.bounds if bound <= channel)
        return sum(self.room(a, b) for a, b in pairwise(before))

    def spread(self, value: Array, axis: int) -> Array:
        """A weight with zeros where no channel was."""
        size = list(value.shape)
        size[axis] = self.place(max(self.bounds))
        wide = np.zeros(size, value.dtype)
        for begin, end in pairwise(sorted(self.bounds)):
            to = [slice(None)] * value.ndim
            to[axis] = slice(self.place(begin), self.place(begin) + end - begin)
            wide[tuple(to)] = value.take(range(begin, end), axis)
        return wide


class _Widths:
    def __init__(self, model: onnx.ModelProto, parts: Mapping[str, Sequence[Part]]) -> None:
        self.graph, self.parts = EditableGraph(model), parts
        self.layouts: dict[str, _Layout] = {}

    def run(self) -> Segmented:
        self.find_layouts()
        nodes: list[onnx.NodeProto] = []
        for node in self.graph.nodes:
            if is_region(node, "RegionGather"):
                self.gather(node, nodes)
            elif is_conv(node):
                self.conv(node)
            nodes.append(node)
        self.graph.nodes = nodes
        parts = {
            name: [
                part._replace(begin=layout.place(part.begin), end=layout.place(part.end))
                for part in found
                for layout in [self.layouts[part.tensor]]
            ]
            for name, found in self.parts.items()
        }
        return Segmented(self.graph.model(), parts)

    def find_layouts(self) -> None:
        rows = compact_tensors(self.graph.nodes)
        for node in self.graph.nodes:
            y = node.output[0]
            if is_region(node, *_MOVES):
                self.layouts[y] = self.layouts[node.input[0]]
            elif is_region(node, "RegionGather", "RegionConv"):
                # What is added has to lie as the sum does.
                added = node.input[-1] if is_conv(node) else ""
                self.layouts[y] = self.layouts[added] if added in rows else _Layout()
            if is_conv(node):
                self.layouts[y].bounds.add(len(self.graph.constants[node.input[-2]]))
                found = attributes(node)
                for x, *part in zip(
                    node.input[:-TAIL], found["channel_begin"], found["channel_end"], strict=True
                ):
                    self.layouts[x].bounds |= set(part)
                    self.layouts[x].integer |= marked(node)
            elif not is_region(node, *_MOVES):
                for name in self.layouts.keys() & set(node.input):
                    self.layouts[name].fixed = True
        for pieces in self.parts.values():
            for piece in pieces:
                self.layouts[piece.tensor].bounds |= {piece.begin, piece.end}
        for node in self.graph.nodes:
            if is_region(node, "RegionGather"):
                # On the map there is room behind all channels only.
                layout = self.layouts[node.output[0]]
                between = sorted(layout.bounds)[:-1]
                layout.fixed |= any(layout.place(bound) != bound for bound in between)

    def gather(self, node: onnx.NodeProto, nodes: list[onnx.NodeProto]) -> None:
        """More channels on the map."""
        layout = self.layouts[node.output[0]]
        places = sorted(layout.bounds)
        x = node.input[0]
        more = layout.place(places[-1]) - places[-1]
        if not more:
            return
        pads = self.graph.constant(f"{node.name}/pads", [0, 0, 0, 0, 0, more, 0, 0], np.int64)
        nodes.append(self.graph.make("Pad", [x, pads], f"{node.name}/wide"))
        node.input[0] = nodes[-1].output[0]

    def conv(self, node: onnx.NodeProto) -> None:
        found = attributes(node)
        layout = self.layouts[node.output[0]]
        weight, bias = (self.graph.constants[name] for name in node.input[-3:-1])
        read, begin = [], 0
        places: dict[str, list[int]] = {"channel_begin": [], "channel_end": []}
        for x, low, high in zip(
            node.input[:-TAIL], found["channel_begin"], found["channel_end"], strict=True
        ):
            given = self.layouts[x]
            part = weight[..., begin : begin + high - low]
            whole = np.zeros((*weight.shape[:-1], max(given.bounds)), weight.dtype)
            whole[..., low:high] = part
            ends = given.place(low), given.place(high)
            read.append(given.spread(whole, -1)[..., slice(*ends)])
            places["channel_begin"].append(ends[0])
            places["channel_end"].append(ends[1])
            begin += high - low
        wide = layout.spread(np.concatenate(read, axis=-1), 0)
        self.graph.constants[node.input[-3]] = wide
        self.graph.constants[node.input[-2]] = layout.spread(bias, 0)
        for attribute in node.attribute:
            if attribute.name in places:
                attribute.ints[:] = places[attribute.name]
