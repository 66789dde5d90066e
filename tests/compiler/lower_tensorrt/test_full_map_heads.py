"""Heads on the whole map."""

from __future__ import annotations

import numpy as np
import pytest
from region_graphs import CHANNELS, assert_equal_results, count, region_graph, views
from tiny_networks import tiny_model

from lc_trt.compiler.graph import Graph
from lc_trt.compiler.lower_tensorrt.full_map_heads import FullMapHeads
from lc_trt.compiler.pass_manager import run_passes
from lc_trt.compiler.passes.fold_constants import FoldConstants
from lc_trt.compiler.passes.freeze import Freeze


def test_probabilities_are_computed_on_the_map():
    source = run_passes(tiny_model(), [Freeze(1, (48, 72)), FoldConstants()])
    graph = Graph(source)
    report = FullMapHeads().apply(graph)
    assert (report.rewrites, report.skipped) == (4, [])  # logits and confidence of two stages
    model = graph.encode()
    producers = {o: n for n in model.graph.node for o in n.output}
    written = [producers[scatter.input("x")].op_type for scatter in views(model, "RegionScatter")]
    assert written == ["RegionConv"] * 2
    assert count(model, "Softmax") == count(source, "Softmax") == 3


@pytest.mark.parametrize("factors", [(), (0.7,), (0.7, 2.0)])
def test_a_softmax_goes_into_a_map_that_is_none(factors):
    def head(b):
        y = b.conv(b.entered, CHANNELS, 4)
        for factor in factors:
            y = b.op("Mul", b.constant(factor, np.float32), y)
        return b.op("Softmax", y, axis=1), 4

    model = region_graph(head)
    final = run_passes(model, [FullMapHeads()])
    assert_equal_results(model, final)
    (scatter,) = views(final, "RegionScatter")
    assert scatter.input("x") == views(final, "RegionConv")[0].output("y")
    assert (count(final, "Where"), count(final, "Mul")) == (1, len(factors))


def test_other_rows_are_scattered_as_they_are():
    model = region_graph(lambda b: (b.op("Sigmoid", b.conv(b.entered, CHANNELS, 4)), 4))
    report = FullMapHeads().apply(Graph(model))
    assert report.rewrites == 0
    assert report.skipped[0].reason == "its input is neither a Softmax nor the maximum of one"
