"""The INT8 plan, made before lowering."""

from __future__ import annotations

from lowered_int8 import ranges_of
from region_graphs import CHANNELS, region_graph

from lc_trt.compiler.graph import Graph
from lc_trt.compiler.lower_tensorrt.int8_plan import Int8Plan
from lc_trt.compiler.lower_tensorrt.operators import LoweringState
from lc_trt.compiler.options import Quantization


def test_the_plan_lists_all_convolutions_but_kept_ones():
    def body(b):
        y = b.conv(b.entered, CHANNELS, CHANNELS)  # reads the image
        for _ in range(3):
            y = b.conv(b.op("Relu", y), CHANNELS, CHANNELS)
        return y, CHANNELS

    model = region_graph(body)
    graph, state = Graph(model), LoweringState()
    before = [node.name for node in graph.nodes]
    Int8Plan(Quantization(ranges_of(model), keep={"conv_3"}), state).apply(graph)
    assert [node.name for node in graph.nodes] == before
    assert state.int8_convolutions == {"conv_2", "conv_4"}
    assert state.plan is not None and state.plan.convolutions == ("conv_2", "conv_3", "conv_4")
    assert state.quantised == {"relu", "relu_3"}
