"""1x1 branches as one product, in ONNX Runtime before and after."""

from __future__ import annotations

import pytest
from region_graphs import (
    CHANNELS,
    assert_equal_results,
    channel_joins,
    count,
    region_graph,
    residual_block,
    views,
)

from lc_trt.compiler.graph import Graph
from lc_trt.compiler.lower_tensorrt.fuse_epilogues import FuseEpilogues
from lc_trt.compiler.lower_tensorrt.merge_branches import MergeBranches
from lc_trt.compiler.lower_tensorrt.operators import LoweringState
from lc_trt.compiler.lower_tensorrt.plugin_nodes import PluginNodes
from lc_trt.compiler.lower_tensorrt.segments import Segments
from lc_trt.compiler.pass_manager import run_passes


def test_branches_on_the_same_rows_are_merged():
    model = region_graph(residual_block)
    merged = run_passes(model, [FuseEpilogues(), MergeBranches(LoweringState())])
    assert_equal_results(model, merged)
    assert count(merged, "RegionConv") == 3 and count(merged, "Split") == 1
    final = run_passes(merged, [Segments(LoweringState()), PluginNodes()])
    assert_equal_results(model, final)
    assert not channel_joins(final)
    slices = [
        (conv.attribute("channel_begin"), conv.attribute("channel_end"))
        for conv in views(final, "RegionConv")
    ]
    assert slices == [([0], [6]), ([3], [8]), ([0, 0], [3, 4])]


def test_a_branch_with_another_reader_is_not_merged():
    def body(b):
        left = b.conv(b.entered, CHANNELS, 3)
        right = b.pool(b.conv(b.entered, CHANNELS, 3))
        return b.conv(b.op("Concat", left, right, axis=1), 6, 4), 4

    model = region_graph(body)
    graph = Graph(model)
    report = MergeBranches(LoweringState()).apply(graph)
    reason = "its result has readers other than region convolutions"
    assert [s.reason for s in report.skipped] == [reason] * 2  # the last goes to RegionScatter
    merged = graph.encode()
    assert count(merged, "RegionConv") == 3
    final = run_passes(merged, [Segments(LoweringState()), PluginNodes()])
    assert_equal_results(model, final)


@pytest.mark.parametrize("together", [True, False])
def test_int8_is_merged_with_int8_only(together):
    def body(b):
        branches = [b.conv(b.entered, CHANNELS, 3) for _ in range(2)]
        return b.conv(b.op("Concat", *branches, axis=1), 6, 4), 4

    model = region_graph(body)
    state = LoweringState(int8_convolutions={"conv", "conv_2"} if together else {"conv"})
    merged = run_passes(model, [MergeBranches(state)])
    assert count(merged, "RegionConv") == (2 if together else 3)
    assert ("conv/merged" in state.int8_convolutions) == together
