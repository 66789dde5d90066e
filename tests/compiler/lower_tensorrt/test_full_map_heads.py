"""Heads on the whole map."""

from __future__ import annotations

from region_graphs import count, views
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
