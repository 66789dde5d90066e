"""The tensors that temporal reuse holds on to, by what they are in the exported graph."""

from __future__ import annotations

import pytest
from onnx import helper
from tiny_networks import tiny_encoder_model, tiny_model

from lc_trt.compiler.graph import Graph
from lc_trt.compiler.passes.reuse_points import ReusePoints, ancestors, descendants
from lc_trt.errors import LcTrtError
from lc_trt.ir.interface import CONFIDENCE, LABELS, STAGES
from lc_trt.ir.operator_schema import is_region
from lc_trt.ir.region_ops import REGION_SELECT


@pytest.mark.parametrize("trunk", ["irnet", "inception"])
def test_they_are_found_in_a_cascade(trunk: str) -> None:
    graph = Graph(tiny_model(trunk))
    points = ReusePoints(graph)
    selects = [node for node in graph.nodes if is_region(node, REGION_SELECT)]
    assert points.select.node.name == selects[0].name
    producers = graph.edges().producers
    assert producers[points.features].name.startswith("stage1/")
    assert producers[points.first_probabilities].name == "head1/softmax"
    # Only outputs depend on the merged maps, and all three do.
    readers = descendants(graph.nodes, points.results)
    made = {name for node in readers for name in node.output}
    assert {LABELS, STAGES, CONFIDENCE} <= made | set(points.results)
    assert not any(is_region(node) for node in readers)


def test_ancestors_and_descendants_split_a_chain() -> None:
    nodes = [
        helper.make_node("Relu", [source], [target], target)
        for source, target in (("x", "a"), ("a", "b"), ("x", "c"), ("b", "y"))
    ]
    assert [n.name for n in ancestors(nodes, ["b"])] == ["a", "b"]
    assert [n.name for n in descendants(nodes, ["a"])] == ["b", "y"]
    assert ancestors(nodes, ["x"]) == [] and descendants(nodes, ["y"]) == []


def test_a_network_without_three_stages_is_refused() -> None:
    graph = Graph(tiny_model())
    graph.nodes = [node for node in graph.nodes if not is_region(node, REGION_SELECT)]
    with pytest.raises(
        LcTrtError, match="0 RegionSelect nodes, expected a cascade of three stages"
    ):
        ReusePoints(graph)


def test_stages_at_two_strides_are_refused() -> None:
    with pytest.raises(LcTrtError, match="another stride than stage 2; build it without --reuse"):
        ReusePoints(Graph(tiny_encoder_model()))
