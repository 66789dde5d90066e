"""Concatenations and splits of rows disappear: region convolutions read segments.

A tensor of rows is followed as a list of parts, each some channels of a tensor that exists. A
Concat joins lists, a Split cuts them, and a RegionConv reads the parts as its K segments. Where a
convolution adds a concatenation as its residual, it is cut by output channels instead, one
RegionConv a part: a residual stream that starts as a concatenation stays one, at no
multiplication more, and is never copied together.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import NamedTuple

import numpy as np
import onnx

from lc_trt.compiler.graph import Array, EditableGraph, attributes, known_dims
from lc_trt.compiler.lower_tensorrt.operators import (
    BIAS,
    INTEGER,
    RESIDUAL,
    WEIGHT,
    has_residual,
    is_region,
)
from lc_trt.compiler.lower_tensorrt.verify import refusal
from lc_trt.errors import LcTrtError
from lc_trt.ir.interface import DOMAIN
from lc_trt.ir.plugin_functions import plugin_function
from lc_trt.ir.region_ops import MAX_SEGMENTS, REGION_CONV, Form


class Part(NamedTuple):
    """Channels ``begin`` to ``end`` of a tensor [R, C]."""

    tensor: str
    begin: int
    end: int

    @property
    def channels(self) -> int:
        """How many."""
        return self.end - self.begin


class Segmented(NamedTuple):
    """What `read_segments` makes.

    Attributes:
        parts: where the channels of each tensor of rows that there was before are now.
    """

    model: onnx.ModelProto
    parts: dict[str, list[Part]]


def read_segments(model: onnx.ModelProto) -> Segmented:
    """The model with every RegionConv in a form that `ir.plugin_functions.plugin_function` has.

    Raises:
        LcTrtError: what is no region operator, nor a Concat or Split of channels, reads rows
            that were never put together; or a weight is no constant.
    """
    return _Segments(model).run()


class _Segments:
    def __init__(self, model: onnx.ModelProto) -> None:
        self.graph = EditableGraph(model)
        self.dims = known_dims(model)
        self.channels: dict[str, int] = {}  # of tensors that exist
        self.parts: dict[str, list[Part]] = {}  # of these, and of concatenations and splits
        self.nodes: list[onnx.NodeProto] = []

    def run(self) -> Segmented:
        for node in self.graph.nodes:
            if is_region(node, "RegionConv"):
                self.conv(node)
            elif is_region(node, "RegionRestrict", "RegionMaxPool"):
                self.each_tensor(node)
            elif not self.follow(node):
                self.other(node)
            if is_region(node, "RegionGather"):
                self.add(node.output[0], self.dense_channels(node))
        self.graph.nodes = self.nodes
        return Segmented(self.graph.model(), self.parts)

    def other(self, node: onnx.NodeProto) -> None:
        """An operator that reads rows whole, or none."""
        for i, name in enumerate(node.input):
            if name in self.parts:
                if not is_region(node):
                    raise refusal(node, name)
                node.input[i] = self.whole(node, name)
        self.nodes.append(node)

    def parts_of(self, node: onnx.NodeProto, name: str) -> list[Part]:
        """What an operator on rows reads."""
        if name not in self.parts:
            raise LcTrtError(
                f"node {node.name!r} ({node.op_type}) reads {name!r}, which no region operator made"
            )
        return self.parts[name]

    def add(self, tensor: str, channels: int) -> Part:
        """Note a tensor that exists."""
        self.channels[tensor] = channels
        self.parts[tensor] = [Part(tensor, 0, channels)]
        return self.parts[tensor][0]

    def whole(self, node: onnx.NodeProto, name: str) -> str:
        """The one tensor that a name stands for."""
        first, *rest = self.parts[name]
        if rest or first != Part(first.tensor, 0, self.channels[first.tensor]):
            raise refusal(node, name)
        return first.tensor

    def dense_channels(self, gather: onnx.NodeProto) -> int:
        dims = self.dims.get(gather.input[0], ())
        channels = dims[1] if len(dims) == 4 else None
        if channels is None:
            raise LcTrtError(
                f"node {gather.name!r}: the channels of {gather.input[0]!r} could not be inferred"
            )
        return channels

    def follow(self, node: onnx.NodeProto) -> bool:
        """Whether a node only joins or cuts channels of rows, which is noted then."""
        if node.domain != "" or attributes(node).get("axis") != 1:
            return False
        if node.op_type == "Concat" and all(name in self.parts for name in node.input):
            joined = [part for name in node.input for part in self.parts[name]]
            self.parts[node.output[0]] = _coalesced(joined)
            return True
        if node.op_type == "Split" and node.input[0] in self.parts:
            begin = 0
            for output, size in zip(
                node.output, self.graph.constants[node.input[1]].tolist(), strict=True
            ):
                self.parts[output] = _cut(self.parts[node.input[0]], begin, begin + size)
                begin += size
            return True
        return False

    def each_tensor(self, node: onnx.NodeProto) -> None:
        """What takes channels one by one is done to each tensor behind the parts."""
        parts = self.parts_of(node, node.input[0])
        tensors = list(dict.fromkeys(part.tensor for part in parts))
        made: dict[str, str] = {}
        for number, tensor in enumerate(tensors):
            copy = onnx.NodeProto()
            copy.CopyFrom(node)
            copy.input[0] = tensor
            if len(tensors) > 1:
                copy.name = copy.output[0] = self.graph.unique(f"{node.name}/{number}")
            made[tensor] = self.add(copy.output[0], self.channels[tensor]).tensor
            self.nodes.append(copy)
        self.parts[node.output[0]] = [Part(made[p.tensor], p.begin, p.end) for p in parts]

    def conv(self, node: onnx.NodeProto) -> None:
        weight = self.graph.constants.get(node.input[WEIGHT])
        bias = self.graph.constants.get(node.input[BIAS])
        if weight is None or bias is None:
            raise LcTrtError(f"node {node.name!r}: its weight and bias are not constants")
        residual = node.input[RESIDUAL]
        added = [Part(residual, 0, weight.shape[0])]
        if has_residual(self.graph, node):
            added = self.parts_of(node, residual)
        outputs: list[Part] = []
        begin = 0
        for number, part in enumerate(added):
            if part.tensor in self.parts:
                self.whole(node, part.tensor)
            name, output = node.name, node.output[0]
            if len(added) > 1:
                name = output = self.graph.unique(f"{node.name}/{number}")
            rows = slice(begin, begin + part.channels)
            self.segmented(node, name, weight[rows], bias[rows], part.tensor, output)
            outputs.append(self.add(output, part.channels))
            begin += part.channels
        self.parts[node.output[0]] = outputs

    def segmented(
        self,
        node: onnx.NodeProto,
        name: str,
        weight: Array,
        bias: Array,
        residual: str,
        output: str,
    ) -> None:
        """One RegionConv for every eight parts of the input; each adds the one before."""
        parts = self.parts_of(node, node.input[0])
        groups = [parts[i : i + MAX_SEGMENTS] for i in range(0, len(parts), MAX_SEGMENTS)]
        begin = 0
        for number, group in enumerate(groups):
            last = number == len(groups) - 1
            own = name if last else self.graph.unique(f"{name}/partial")
            channels = sum(part.channels for part in group)
            self.plugin(
                node,
                own,
                group,
                weight[:, begin : begin + channels],
                np.zeros_like(bias) if number else bias,
                residual,
                output if last else own,
                int(last and attributes(node).get("activation", 0)),
            )
            residual = own
            begin += channels

    def plugin(
        self,
        node: onnx.NodeProto,
        name: str,
        group: Sequence[Part],
        weight: Array,
        bias: Array,
        residual: str,
        output: str,
        activation: int,
    ) -> None:
        found, function = attributes(node), plugin_function(REGION_CONV, Form(len(group)))
        self.graph.add_function(function)
        made = onnx.helper.make_node(
            "RegionConv",
            [
                *(part.tensor for part in group),
                *node.input[1:WEIGHT],
                self.graph.constant(f"{name}/weight", weight.transpose(0, 2, 3, 1), weight.dtype),
                self.graph.constant(f"{name}/bias", bias, bias.dtype),
                residual,
            ],
            [output],
            name=name,
            domain=DOMAIN,
            overload=function.overload,
            kernel_shape=list(found["kernel_shape"]),
            dilations=list(found["dilations"]),
            activation=activation,
            residual_scale=float(found.get("residual_scale", 1.0)),
            # The parser warns of each attribute of the plugin that a node leaves out.
            residual_factor=1.0,
            output_type=0,
            weight_layout=1,
            channel_begin=[part.begin for part in group],
            channel_end=[part.end for part in group],
        )
        if INTEGER in found:
            made.attribute.append(onnx.helper.make_attribute(INTEGER, 1))
        self.nodes.append(made)


def _coalesced(parts: Sequence[Part]) -> list[Part]:
    """Neighbours in one tensor become one part."""
    joined: list[Part] = []
    for part in parts:
        if joined and joined[-1].tensor == part.tensor and joined[-1].end == part.begin:
            joined[-1] = Part(part.tensor, joined[-1].begin, part.end)
        else:
            joined.append(part)
    return joined


def _cut(parts: Sequence[Part], begin: int, end: int) -> list[Part]:
    """Channels ``begin`` to ``end`` of what the parts make together."""
    found, start = [], 0
    for part in parts:
        low, high = max(begin - start, 0), min(end - start, part.channels)
        if low < high:
            found.append(Part(part.tensor, part.begin + low, part.begin + high))
        start += part.channels
    return found
