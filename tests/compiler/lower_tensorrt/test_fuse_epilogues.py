"""Factors, residuals and ReLUs in the epilogue, in ONNX Runtime before and after."""

from __future__ import annotations

import numpy as np
import pytest
from region_graphs import CHANNELS, assert_equal_results, count, region_graph, views

from lc_trt.compiler.graph import Graph
from lc_trt.compiler.lower_tensorrt import lower_tensorrt
from lc_trt.compiler.lower_tensorrt.fuse_epilogues import FuseEpilogues
from lc_trt.compiler.pass_manager import run_passes
from lc_trt.errors import LcTrtError


@pytest.mark.parametrize("first", [True, False], ids=["conv+x", "x+conv"])
@pytest.mark.parametrize("relu", [True, False])
def test_a_scaled_residual_and_a_relu_become_the_epilogue(first, relu):
    def body(b):
        y = b.op("Mul", b.conv(b.entered, CHANNELS, CHANNELS, 3), b.constant(0.3, np.float32))
        y = b.op("Add", *((y, b.entered) if first else (b.entered, y)))
        return (b.op("Relu", y) if relu else y), CHANNELS

    model = region_graph(body)
    fused = run_passes(model, [FuseEpilogues()])
    assert_equal_results(model, fused)
    (conv,) = views(fused, "RegionConv")
    assert conv.attribute("residual_scale") == pytest.approx(0.3)
    assert conv.attribute("activation") == relu
    assert not count(fused, "Add") + count(fused, "Mul") + count(fused, "Relu")


def test_a_sum_of_convolutions_becomes_a_chain():
    def body(b):
        total = b.conv(b.entered, CHANNELS, 4)
        for _ in range(3):
            total = b.op("Add", total, b.conv(b.entered, CHANNELS, 4, 3))
        return total, 4

    model = region_graph(body)
    fused = run_passes(model, [FuseEpilogues()])
    assert_equal_results(model, fused)
    assert count(fused, "RegionConv") == 4 and not count(fused, "Add")


def test_convolutions_with_another_reader_are_not_fused():
    def body(b):
        y = b.conv(b.entered, CHANNELS, CHANNELS)
        return b.conv(b.op("Concat", b.op("Relu", y), y, axis=1), 2 * CHANNELS, 4), 4

    graph = Graph(region_graph(body))
    report = FuseEpilogues().apply(graph)
    assert count(graph.encode(), "Relu") == 1
    assert (report.rewrites, len(report.skipped)) == (0, 1)
    assert report.skipped[0][1:] == ("Relu", "'conv' before it is read 2 times")
    with pytest.raises(LcTrtError, match=r"\(Relu\) reads 'conv', rows of a region"):
        run_passes(region_graph(body), lower_tensorrt())


def test_a_factor_after_a_residual_is_not_fused():
    def body(b):
        y = b.op("Add", b.conv(b.entered, CHANNELS, CHANNELS), b.entered)
        return b.op("Mul", y, b.constant(0.5, np.float32)), CHANNELS

    model = region_graph(body)
    fused = run_passes(model, [FuseEpilogues()])
    assert_equal_results(model, fused)
    assert count(fused, "Mul") == 1 and not count(fused, "Add")
