"""Recognising rows and residuals."""

from __future__ import annotations

from region_graphs import CHANNELS, region_graph, residual_block, views

from lc_trt.compiler.graph import Graph
from lc_trt.compiler.lower_tensorrt.operators import has_residual, region_conv, row_tensors
from lc_trt.ir.node_view import NodeView


def test_rows_are_outputs_of_region_operators_and_what_derives_from_them():
    model = region_graph(residual_block)
    (scatter,) = views(model, "RegionScatter")
    rows = row_tensors(model.graph.node)
    assert {scatter.input("x"), scatter.input("rows")} <= rows
    assert rows.isdisjoint({"x", "y", scatter.input("base"), "confidence"})


def test_a_1x1_zero_residual_is_omitted():
    def body(b):
        zeros, ones = (b.constant([[value]], "float32") for value in (0.0, 1.0))
        first = b.conv(b.entered, CHANNELS, CHANNELS, residual=zeros)
        second = b.conv(first, CHANNELS, CHANNELS, residual=ones)
        return b.conv(second, CHANNELS, CHANNELS, residual=b.entered), CHANNELS

    graph = Graph(region_graph(body))
    convs = [conv for conv in map(region_conv, graph.nodes) if conv is not None]
    assert [has_residual(graph, conv) for conv in convs] == [False, True, True]
    assert all(isinstance(conv, NodeView) for conv in convs)
