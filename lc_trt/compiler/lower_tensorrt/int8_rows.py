"""INT8 on rows: region convolutions with scales, and quantised values between them.

The kernel's epilogue has one scale per output channel and no input scales. Input scales are folded
into the weights per input channel before these are quantised, and the output scale into the
epilogue's scale and bias. Merged branches can therefore have different scales at no cost.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import ClassVar

import numpy as np
import onnx

from lc_trt.compiler.graph import Array, Graph
from lc_trt.compiler.lower_tensorrt.int8_types import RowTypes, moves_rows
from lc_trt.compiler.lower_tensorrt.operators import LoweringState, region_conv, segments_of
from lc_trt.compiler.options import Quantization
from lc_trt.compiler.pass_manager import PassReport
from lc_trt.compiler.passes.insert_qdq import group_scales, integer_weight
from lc_trt.errors import LcTrtError
from lc_trt.ir.node_view import NodeView
from lc_trt.ir.operator_schema import Form, OutputType, is_region
from lc_trt.ir.region_ops import REGION_CONV, REGION_GATHER, REGION_QUANTIZE


@dataclass(frozen=True)
class Int8Rows:
    """Quantises the region convolutions of `LoweringState.int8_convolutions`.

    Runs after `int8_maps.Int8Maps`. Raises LcTrtError if one reads a tensor without a scale.

    Attributes:
        quantization: ranges of the tensors.
        state: shared state.
        floating: type of results with floating-point readers.
    """

    name: ClassVar[str] = "int8_rows"
    quantization: Quantization
    state: LoweringState
    floating: OutputType

    def apply(self, graph: Graph) -> PassReport:
        """Quantise; the report counts convolutions.

        Args:
            graph: graph to edit in place.
        """
        assert self.state.plan is not None, "int8_plan must run first"
        scales = group_scales(self.state.plan, self.quantization)
        types = RowTypes(graph, self.state, scales)
        return _RowQuantizer(graph, types, self.state, self.floating).run()


class _RowQuantizer:
    def __init__(
        self, graph: Graph, types: RowTypes, state: LoweringState, floating: OutputType
    ) -> None:
        self.graph, self.types, self.state, self.floating = graph, types, state, floating
        self.counts: dict[str, str] = {}  # tensor with the number of valid rows, by tensor of rows
        self.quantised: dict[tuple[str, float], str] = {}
        self.nodes: list[onnx.NodeProto] = []
        self.report = PassReport()

    def run(self) -> PassReport:
        for node in self.graph.nodes:
            int8 = node.output[0] in self.types.int8
            conv = region_conv(node)
            if conv is not None:
                self.counts[conv.output("y")] = conv.input("count")
                if node.name in self.state.int8_convolutions:
                    node = self.conv(conv)
                    self.report.rewrites += 1
            elif is_region(node, REGION_GATHER):
                gather = NodeView(node)
                self.counts[gather.output("y")] = gather.input("count")
                dequantizer = self.types.dequantizer(gather.input("x"))
                if int8 and dequantizer is not None:
                    gather.set_input("x", dequantizer.input("x"))
            elif moves_rows(node):
                view = NodeView(node)
                self.counts[view.output("y")] = view.input("count")
                if int8:
                    view.set_input("x", self.moved(view.input("x")))
            self.nodes.append(node)
        self.graph.nodes = self.nodes
        return self.report

    def moved(self, x: str) -> str:
        """An input to move in INT8, with its own scales."""
        return self.in_int8(x, 0, len(self.types.scales[x]), "")[0]

    def in_int8(self, x: str, begin: int, end: int, reader: str) -> tuple[str, Array]:
        """A tensor in INT8, and the scales of its channels ``begin`` to ``end``."""
        scales = self.types.scales[x][begin:end]
        if np.isnan(scales).any():
            raise LcTrtError(
                f"node {reader!r} reads {x!r} in INT8, and the calibration table has no range for "
                "it; calibrate the model again, or keep this layer with --keep"
            )
        if x in self.types.int8:
            return x, scales
        dequantizer = self.types.dequantizer(x)
        if dequantizer is not None:
            return dequantizer.input("x"), scales
        # The tensor also has floating-point readers. Merged branches have several scales.
        scale = float(scales.max())
        key = (x, scale)
        if key not in self.quantised:
            name = self.graph.unique(f"{x}/int8")
            quantize = REGION_QUANTIZE.node(name, [name], x=x, count=self.counts[x], scale=scale)
            self.nodes.append(quantize)
            self.quantised[key] = name
        return self.quantised[key], np.full(end - begin, scale, np.float32)

    def conv(self, conv: NodeView) -> onnx.NodeProto:
        """The INT8 form of a segmented RegionConv."""
        p, y, residual = conv.node.name, conv.output("y"), conv.input("residual")
        attributes = conv.attributes()
        inputs = [self.in_int8(*segment, reader=p) for segment in segments_of(conv)]
        weight = self.graph.constants[conv.input("weight")]
        bias = self.graph.constants[conv.input("bias")]
        # [Cout, kh, kw, Cin] times the scale of each Cin.
        in_scales = np.concatenate([scales for _, scales in inputs])
        values, scale = integer_weight(weight * in_scales)
        int8 = y in self.types.int8
        out_scale = self.types.scales[y] if int8 else np.ones(1, np.float32)
        residual_factor = 1.0
        if residual in self.graph.constants:
            residual = self.graph.constant(f"{p}/none", [[0]], np.int8)
        elif int8 or residual in self.types.int8:
            # Summands in INT8 have a single scale (`RowTypes`).
            residual, scales = self.in_int8(residual, 0, len(values), p)
            residual_factor = float(scales[0] / out_scale[0])
        output = OutputType.INT8 if int8 else self.floating
        return REGION_CONV.node(
            p, [y], form=Form(len(inputs), output), region=conv.region(),
            x=[name for name, _ in inputs],
            weight=self.graph.constant(f"{p}/weight_int8", values, np.int8),
            scale=self.graph.constant(f"{p}/scale", scale / out_scale, np.float32),
            bias=self.graph.constant(f"{p}/bias", bias / out_scale, np.float32),
            residual=residual,
            **(attributes | {"residual_factor": residual_factor, "output_type": output.number}),
        )  # fmt: skip
