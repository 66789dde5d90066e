"""Graphs of a few region operators, for tests of passes: quick to run, and of any shape."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import replace

import numpy as np
import onnx
from onnx import TensorProto, helper
from tiny_networks import session

from lc_trt.ir.builder import GraphBuilder
from lc_trt.ir.export.regions import Source
from lc_trt.ir.node_view import NodeView
from lc_trt.ir.operator_schema import Region
from lc_trt.ir.region_ops import REGION_CONV, REGION_GATHER, REGION_MAX_POOL, REGION_SCATTER

CHANNELS = 6
SIZE = (2, 5, 7)  # images, height, width


class RegionGraph(GraphBuilder):
    """A region of `x`, what `body` makes of its rows, and the rows in a map of zeros."""

    def __init__(self, seed: int = 0) -> None:
        super().__init__()
        self.rng = np.random.default_rng(seed)
        self.selected = self.select("confidence", "active", "rho")
        self.entered = self.region(REGION_GATHER, region=self.selected, x="x")

    def conv(
        self, x: str, cin: int, cout: int, kernel: int = 1, residual: str | None = None,
        region: Region | None = None,
    ) -> str:  # fmt: skip
        """A region convolution with random weights; ``region`` may have another index."""
        return self.region(
            REGION_CONV, name="conv", region=region or self.selected, x=x,
            weight=self.weight("weight", self.random(cout, cin, kernel, kernel)),
            bias=self.weight("bias", self.rng.standard_normal(cout).astype(np.float32)),
            residual=residual or self.constant([[0.0]], np.float32),
            kernel_shape=[kernel] * 2, dilations=[1, 1],
        )  # fmt: skip

    def random(self, cout: int, cin: int, kh: int, kw: int) -> np.ndarray:
        """A weight that keeps the variance, float32."""
        weight = self.rng.standard_normal((cout, cin, kh, kw)) / (cin * kh * kw) ** 0.5
        return weight.astype(np.float32)

    def map_conv(self, rows: Source, cin: int, cout: int, kernel: int = 3) -> str:
        """A convolution of a dense map at the region's pixels."""
        region = replace(self.selected, index=rows.index)
        return self.conv(rows.rows, cin, cout, kernel, region=region)

    def pool(self, x: str, region: Region | None = None) -> str:
        """A 3x3 maximum."""
        return self.region(
            REGION_MAX_POOL, name="pool", region=region or self.selected, x=x,
            kernel_shape=[3, 3], dilations=[1, 1],
        )  # fmt: skip


def region_graph(
    body: Callable[[RegionGraph], tuple[str, int]], seed: int = 0, static: bool = True
) -> onnx.ModelProto:
    """A model of what `body` returns, rows and their number of channels."""
    b = RegionGraph(seed)
    y, channels = body(b)
    zero = b.constant([0.0], np.float32)
    shape = b.op("Concat", b.op("Shape", "x", start=0, end=1), b.constant([channels], np.int64),
                 b.op("Shape", "x", name="size", start=2, end=4), axis=0)  # fmt: skip
    base = b.op("Expand", zero, shape)
    b.region(REGION_SCATTER, output="y", region=b.selected, x=y, base=base)
    n, h, w = SIZE if static else ("n", "h", "w")
    inputs = [
        helper.make_tensor_value_info("x", TensorProto.FLOAT, [n, CHANNELS, h, w]),
        helper.make_tensor_value_info("confidence", TensorProto.FLOAT, [n, 1, h, w]),
        helper.make_tensor_value_info("active", TensorProto.BOOL, [n, 1, h, w]),
        helper.make_tensor_value_info("rho", TensorProto.FLOAT, []),
    ]
    outputs = [helper.make_tensor_value_info("y", TensorProto.FLOAT, [n, channels, h, w])]
    model = b.model(inputs, outputs, "region")
    onnx.checker.check_model(model)
    return model


def feed(share: float, seed: int = 0) -> dict[str, np.ndarray]:
    """Inputs whose region is this share of the pixels."""
    rng = np.random.default_rng(seed)
    n, h, w = SIZE
    return {
        "x": rng.standard_normal((n, CHANNELS, h, w)).astype(np.float32),
        "confidence": rng.random((n, 1, h, w), np.float32),
        "active": rng.random((n, 1, h, w)) < 0.9 if 0 < share < 1 else np.ones((n, 1, h, w), bool),
        "rho": np.asarray(share, np.float32),
    }


def assert_equal_results(before: onnx.ModelProto, after: onnx.ModelProto) -> None:
    """Both give the same for an empty, a partial and a full region."""
    a, b = session(before), session(after)
    for share in (-1.0, 0.5, 1.0):
        inputs = feed(share)
        (expected,) = a.run(None, inputs)
        (result,) = b.run(None, inputs)
        np.testing.assert_allclose(result, expected, atol=1e-5)
        assert share < 0 or expected.any()


def residual_block(b: RegionGraph, channels: int = CHANNELS) -> tuple[str, int]:
    """A residual block as in the networks, of two branches with widths of their own."""
    left = b.op("Relu", b.conv(b.entered, channels, 3))
    right = b.op("Relu", b.conv(b.entered, channels, 5))
    right = b.op("Relu", b.conv(right, 5, 4, 3))
    y = b.conv(b.op("Concat", left, right, axis=1), 7, channels)
    return b.op("Relu", b.op("Add", b.entered, y)), channels


def count(model: onnx.ModelProto, op_type: str) -> int:
    """How many nodes of an operator a model has."""
    return sum(node.op_type == op_type for node in model.graph.node)


def views(model: onnx.ModelProto, op_type: str) -> list[NodeView]:
    """The nodes of an operator, to be read by names."""
    return [NodeView(node) for node in model.graph.node if node.op_type == op_type]


def channel_joins(model: onnx.ModelProto) -> int:
    """Concat and Split of channels; these graphs have a Concat of a shape too."""
    joins = [n for n in model.graph.node if n.op_type in ("Concat", "Split")]
    return sum(NodeView(node).attribute("axis") == 1 for node in joins)
