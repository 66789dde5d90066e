"""Lowering of individual region operators."""

from __future__ import annotations

from collections.abc import Collection
from dataclasses import dataclass, field
from typing import ClassVar

import numpy as np
import onnx
from onnx import TensorProto

from lc_trt.compiler.graph import Graph
from lc_trt.compiler.lower_standard.builder import Builder
from lc_trt.compiler.lower_standard.convolutions import lower_conv, lower_sum, windows
from lc_trt.compiler.lower_standard.fused_sums import find_sums
from lc_trt.compiler.lower_standard.int8 import Dequantized, dequantized, gather_windows
from lc_trt.compiler.lower_standard.neighbours import Region, map_table, table, window
from lc_trt.compiler.lower_standard.sources import numbers_in, reads_map
from lc_trt.compiler.pass_manager import PassReport
from lc_trt.errors import LcTrtError
from lc_trt.ir.interface import DOMAIN
from lc_trt.ir.node_view import NodeView
from lc_trt.ir.operator_schema import is_region
from lc_trt.ir.region_ops import (
    REGION_CONV,
    REGION_GATHER,
    REGION_MAX_POOL,
    REGION_RESTRICT,
    REGION_SCATTER,
    REGION_SELECT,
)

_KEEPS_CHANNELS = (
    "Add", "BatchNormalization", "Clip", "DequantizeLinear", "Mul", "QuantizeLinear", "Relu",
    "Softmax",
)  # fmt: skip


@dataclass(frozen=True)
class Lowering:
    """Requirements of a backend.

    Attributes:
        row_multiple: regions are padded to a multiple of this number of rows by repeating the
            last one, whose duplicate results are ignored. OpenVINO compiles kernels for every new
            number of rows, which takes milliseconds and an unbounded amount of memory; 64 keeps
            the number of variants low.
        float_products: whether integer kernels can output floating point. Those of ONNX Runtime
            cannot: it computes a product with a floating-point output in FP32.
    """

    row_multiple: int = 1
    float_products: bool = False


@dataclass(frozen=True)
class LowerStandard:
    """Lowers the region operators of a model with a fixed size (`freeze.Freeze`).

    Raises LcTrtError if the size is not fixed or an operator is unknown.

    Attributes:
        lowering: requirements of the backend.
        named: tensors that must exist in the lowered model under these names.
    """

    name: ClassVar[str] = "lower_standard"
    lowering: Lowering = field(default_factory=Lowering)
    named: Collection[str] = ()

    def apply(self, graph: Graph) -> PassReport:
        """Lower every region operator, in order.

        Args:
            graph: graph to edit in place.
        """
        return _Lowerer(graph, self.lowering, self.named).run()


class _Lowerer(Builder):
    def __init__(self, graph: Graph, lowering: Lowering, named: Collection[str]) -> None:
        super().__init__(graph)
        self.lowering = lowering
        self.fused = find_sums(graph, named)
        self.regions: dict[str, Region] = {}  # by the name of their rows
        self.of_index: dict[str, Region] = {}  # by the name of their index
        self.row_channels: dict[str, int] = {}
        self.map_shapes: dict[str, tuple[int, ...]] = {}  # of the outputs of RegionScatter
        self.decoders: dict[str, Dequantized] = {}
        self.producers = graph.edges().producers

    def run(self) -> PassReport:
        report = PassReport()
        for node, reason in self.fused.separate:
            report.skip(node, reason)
        rules = {
            REGION_SELECT.name: self.select,
            REGION_GATHER.name: self.gather,
            REGION_RESTRICT.name: self.restrict,
            REGION_CONV.name: self.conv,
            REGION_MAX_POOL.name: self.max_pool,
            REGION_SCATTER.name: self.scatter,
        }
        for node in self.graph.nodes:
            report.rewrites += is_region(node)
            if node.output[0] in self.fused.dropped:
                continue
            if node.output[0] in self.fused.sums:
                self.sum(node)
            elif not is_region(node):
                self.keep(node)
            elif node.op_type in rules:
                rules[node.op_type](node)
            else:
                raise LcTrtError(f"node {node.name!r}: unknown operator {DOMAIN}.{node.op_type}")
        self.graph.nodes = self.nodes
        return report

    def keep(self, node: onnx.NodeProto) -> None:
        self.nodes.append(node)
        self.follow_channels(node)
        decoder = dequantized(node)
        if decoder is not None:
            self.decoders[node.output[0]] = decoder

    def map_shape(self, x: str) -> tuple[int, ...]:
        """[N, C, h, w] of a map."""
        shape = self.map_shapes.get(x) or self.graph.shape(x)
        if shape is None:
            raise LcTrtError(f"tensor {x!r}: its shape is not fixed; freeze the model first")
        return shape

    def select(self, node: onnx.NodeProto) -> None:
        view, p = NodeView(node), node.name
        confidence, active, rho = (view.input(name) for name in ("confidence", "active", "rho"))
        rows, hard = view.output("rows"), view.output("hard")
        n, _, h, w = self.map_shape(confidence)
        sure = self.add("Greater", confidence, rho, name=f"{p}/sure")
        unsure = self.add("Not", sure, name=f"{p}/unsure")
        self.add("And", active, unsure, name=f"{p}/hard", output=hard)
        flat = self.add("Reshape", hard, self.const(f"{p}/flat", [-1], "int64"), name=f"{p}/flat")
        positions = self.add("NonZero", flat, name=f"{p}/nonzero")
        exact = self.add(
            "Squeeze", positions, self.const(f"{p}/axis", [0], "int64"), name=f"{p}/exact"
        )
        ones = self.add("Cast", flat, name=f"{p}/ones", to=TensorProto.INT64)
        running = self.add("CumSum", ones, self.const(f"{p}/axis", 0, "int64"), name=f"{p}/cumsum")
        index = self.add("Mul", running, ones, name=f"{p}/index")
        with_zero = self.add(
            "Concat", self.const(f"{p}/zero", [0], "int64"), index, name=f"{p}/index_zero", axis=0
        )
        region = Region(p, self.pad_rows(p, exact, rows), hard, with_zero, (n, h, w))
        self.regions[rows] = self.of_index[view.output("index")] = region

    def pad_rows(self, p: str, exact: str, output: str) -> str:
        """Pad row numbers to a multiple by repeating the last one; an empty region stays empty."""
        multiple = self.lowering.row_multiple
        if multiple == 1:
            return self.add("Identity", exact, name=f"{p}/rows", output=output)
        count = self.add("Size", exact, name=f"{p}/count")
        step = self.const(f"{p}/multiple", multiple, "int64")
        more = self.add(
            "Add", count, self.const(f"{p}/round", multiple - 1, "int64"), name=f"{p}/up"
        )
        groups = self.add("Div", more, step, name=f"{p}/groups")
        padded = self.add("Mul", groups, step, name=f"{p}/padded")
        one = self.const(f"{p}/one", 1, "int64")
        numbers = self.add(
            "Range", self.const(f"{p}/start", 0, "int64"), padded, one, name=f"{p}/range"
        )
        last = self.add("Sub", count, one, name=f"{p}/last")
        clipped = self.add("Min", numbers, last, name=f"{p}/clipped")
        return self.add("Gather", exact, clipped, name=f"{p}/rows", output=output, axis=0)

    def gather(self, node: onnx.NodeProto) -> None:
        view = NodeView(node)
        x, region = view.input("x"), self.regions[view.input("rows")]
        flat = self.flatten(x, node.name)
        self.add("Gather", flat, region.rows, name=node.name, output=view.output("y"), axis=0)
        self.row_channels[view.output("y")] = self.map_shape(x)[1]

    def flatten(self, x: str, p: str) -> str:
        """[N, C, h, w] -> [N*h*w, C]."""
        last = self.add("Transpose", x, name=f"{p}/nhwc", perm=[0, 2, 3, 1])
        # The channels are given explicitly, because -1 cannot be inferred for two dimensions.
        shape = self.const(f"{p}/flat", [-1, self.map_shape(x)[1]], "int64")
        return self.add("Reshape", last, shape, name=f"{p}/flat")

    def restrict(self, node: onnx.NodeProto) -> None:
        view, p = NodeView(node), node.name
        x, region = view.input("x"), self.regions[view.input("rows")]
        one = self.const(f"{p}/one", 1, "int64")
        numbers = numbers_in(self, region, view.input("index"), self.of_index, self.producers, p)
        before = self.add("Sub", numbers, one, name=f"{p}/before")
        self.add("Gather", x, before, name=p, output=view.output("y"), axis=0)
        self.row_channels[view.output("y")] = self.channels(x)

    def conv(self, node: onnx.NodeProto) -> None:
        view = NodeView(node)
        region = self.regions[view.input("rows")]
        self.row_channels[view.output("y")] = lower_conv(
            self,
            node,
            region,
            self.decoders,
            self.lowering.float_products,
            of_map=reads_map(self, node, region, self.of_index),
        )

    def sum(self, node: onnx.NodeProto) -> None:
        output = node.output[0]
        term = self.fused.sums[output]
        region = self.regions[term.rows]
        self.row_channels[output] = lower_sum(self, term, region, node.name, output)

    def max_pool(self, node: onnx.NodeProto) -> None:
        view = NodeView(node)
        x, region = view.input("x"), self.regions[view.input("rows")]
        taps = window(view.attribute("kernel_shape"), view.attribute("dilations"))
        find = map_table if reads_map(self, node, region, self.of_index) else table
        neighbours = find(self, region, taps)
        channels = self.channels(x)
        decoder = self.decoders.get(x)
        if decoder:
            in_8_bits = gather_windows(self, decoder, channels, neighbours, node.name)
            values = self.add(
                "DequantizeLinear", in_8_bits, decoder.scale, decoder.zero, name=f"{node.name}/dq"
            )
        else:
            values = windows(self, x, channels, neighbours, node.name)
        axis = self.const(f"{node.name}/axis", [1], "int64")
        self.add("ReduceMax", values, axis, name=node.name, output=view.output("y"), keepdims=0)
        self.row_channels[view.output("y")] = channels

    def follow_channels(self, node: onnx.NodeProto) -> None:
        """Propagate channels of compact rows: ONNX cannot infer shapes of region operators."""
        known = [self.row_channels[name] for name in node.input if name in self.row_channels]
        if known and node.op_type == "Concat" and len(known) == len(node.input):
            self.row_channels[node.output[0]] = sum(known)
        elif known and node.op_type in _KEEPS_CHANNELS:
            self.row_channels[node.output[0]] = known[0]

    def channels(self, x: str) -> int:
        shape = self.graph.shape(x)  # of rows of a dense map
        if x not in self.row_channels and shape is None:
            raise LcTrtError(f"tensor {x!r}: its number of channels could not be inferred")
        return self.row_channels[x] if shape is None else shape[1]

    def scatter(self, node: onnx.NodeProto) -> None:
        view, p = NodeView(node), node.name
        x, base = view.input("x"), view.input("base")
        region = self.regions[view.input("rows")]
        n, h, w = region.size
        channels = self.map_shape(base)[1]
        zero = self.const(f"{p}/zero_row", np.zeros((1, channels)), "float32")
        with_zero = self.add("Concat", zero, x, name=f"{p}/with_zero", axis=0)
        index = self.add(
            "Slice", region.flat_index, self.const(f"{p}/from", [1], "int64"),
            self.const(f"{p}/to", [n * h * w + 1], "int64"), name=f"{p}/index",
        )  # fmt: skip
        spread = self.add("Gather", with_zero, index, name=f"{p}/spread", axis=0)
        shape = self.const(f"{p}/shape", [n, h, w, channels], "int64")
        last = self.add("Reshape", spread, shape, name=f"{p}/nhwc")
        first = self.add("Transpose", last, name=f"{p}/nchw", perm=[0, 3, 1, 2])
        self.add("Where", region.hard, first, base, name=p, output=view.output("y"))
        self.map_shapes[view.output("y")] = (n, channels, h, w)
