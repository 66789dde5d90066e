"""INT8 on the rows: region convolutions with their scales, and codes between them.

The kernel knows nothing of scales but one factor a channel in its epilogue. So those of what it
reads go into its weights before these are quantised, a channel of the input each, and that of
what it gives into factor and bias, a channel of the output each. Merged branches, whose channels
are read by different convolutions on different scales, cost nothing.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

import numpy as np
import onnx

from lc_trt.compiler.graph import Array, EditableGraph, attributes
from lc_trt.compiler.lower_tensorrt.int8_types import TAIL, RowTypes, marked
from lc_trt.compiler.lower_tensorrt.operators import INTEGER, is_conv, is_region
from lc_trt.compiler.lower_tensorrt.segments import Part
from lc_trt.compiler.passes.insert_qdq import integer_weight
from lc_trt.errors import LcTrtError
from lc_trt.ir.interface import DOMAIN
from lc_trt.ir.plugin_functions import plugin_function
from lc_trt.ir.region_ops import EXCHANGE, REGION_CONV, REGION_QUANTIZE, Form, OutputType


def quantize_rows(
    model: onnx.ModelProto,
    parts: Mapping[str, Sequence[Part]],
    scales: Mapping[str, float],
    floating: OutputType,
) -> onnx.ModelProto:
    """The region convolutions that `operators.INTEGER` marks, in INT8.

    Args:
        model: with Q and DQ on the map (`integer_maps.quantize_maps`).
        parts, scales: see `integer_types.RowTypes`.
        floating: what they give where something reads it in floating point.

    Raises:
        LcTrtError: a convolution reads a tensor without a scale.
    """
    return _Rows(model, parts, scales, floating).run()


class _Rows:
    def __init__(
        self,
        model: onnx.ModelProto,
        parts: Mapping[str, Sequence[Part]],
        scales: Mapping[str, float],
        floating: OutputType,
    ) -> None:
        self.graph = EditableGraph(model)
        self.types = RowTypes(self.graph, parts, scales)
        self.floating = floating
        self.counts: dict[str, str] = {}  # of valid rows, by tensor of rows
        self.quantised: dict[tuple[str, float], str] = {}
        self.nodes: list[onnx.NodeProto] = []

    def run(self) -> onnx.ModelProto:
        for node in self.graph.nodes:
            integer = node.output[0] in self.types.integer
            if is_region(node, "RegionGather"):
                self.counts[node.output[0]] = node.input[2]
                decoder = self.types.decoder(node)
                if integer and decoder is not None:
                    node.input[0] = decoder.input[0]
            elif is_region(node, "RegionRestrict", "RegionMaxPool"):
                self.counts[node.output[0]] = node.input[3]
                if integer:
                    node.input[0] = self.moved(node.input[0])
            elif is_conv(node):
                self.counts[node.output[0]] = node.input[2 - TAIL]
                if marked(node):
                    node = self.conv(node)
            self.nodes.append(node)
        self.graph.nodes = self.nodes
        return self.graph.model()

    def moved(self, x: str) -> str:
        """The codes of a tensor that is moved whole, on its own scales."""
        return self.codes(x, 0, len(self.types.scales[x]), "")[0]

    def codes(self, x: str, begin: int, end: int, reader: str) -> tuple[str, Array]:
        """A tensor in INT8, and the scales of these channels of it."""
        scales = self.types.scales[x][begin:end]
        if np.isnan(scales).any():
            raise LcTrtError(
                f"node {reader!r} reads {x!r} in INT8, and the calibration table has no range for "
                "it; calibrate the model again, or keep this layer with --keep"
            )
        if x in self.types.integer:
            return x, scales
        # Mixed readers. A tensor has several scales where it is a product of several branches.
        scale = float(scales.max())
        key = (x, scale)
        if key not in self.quantised:
            self.graph.add_function(plugin_function(REGION_QUANTIZE, EXCHANGE))
            made = self.graph.make(
                "RegionQuantize", [x, self.counts[x]], f"{x}/codes", domain=DOMAIN, scale=scale
            )
            self.nodes.append(made)
            self.quantised[key] = made.output[0]
        return self.quantised[key], np.full(end - begin, scale, np.float32)

    def conv(self, node: onnx.NodeProto) -> onnx.NodeProto:
        """The INT8 form of a RegionConv in segments."""
        found: dict[str, Any] = attributes(node)
        read = [
            self.codes(x, begin, end, node.name)
            for x, begin, end in zip(
                node.input[:-TAIL], found["channel_begin"], found["channel_end"], strict=True
            )
        ]
        weight, bias = (self.graph.constants[name] for name in node.input[-3:-1])
        # [Cout, kh, kw, Cin] by what a code of each Cin stands for.
        values, scale = integer_weight(weight * np.concatenate([scales for _, scales in read]))
        y, residual = node.output[0], node.input[-1]
        integer = y in self.types.integer
        step = self.types.scales[y] if integer else np.ones(1, np.float32)
        factor = 1.0
        if residual in self.graph.constants:
            residual = self.graph.constant(f"{node.name}/none", [[0]], np.int8)
        elif integer or residual in self.types.integer:
            # One scale each: an addition of others is not in INT8.
            residual, scales = self.codes(residual, 0, len(values), node.name)
            factor = float(scales[0] / step[0])
        output = OutputType.INT8 if integer else self.floating
        function = plugin_function(REGION_CONV, Form(len(read), output))
        self.graph.add_function(function)
        del found[INTEGER]
        p = node.name
        return onnx.helper.make_node(
            "RegionConv",
            [
                *(name for name, _ in read),
                *node.input[-TAIL:-3],
                self.graph.constant(f"{p}/weight_int8", values, np.int8),
                self.graph.constant(f"{p}/scale", scale / step, np.float32),
                self.graph.constant(f"{p}/bias", bias / step, np.float32),
                residual,
            ],
            [y],
            name=p,
            domain=DOMAIN,
            overload=function.overload,
            **(found | {"residual_factor": factor, "output_type": output.number}),
        )
