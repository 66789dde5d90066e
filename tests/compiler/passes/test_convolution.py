"""Conv and RegionConv under the same names."""

from __future__ import annotations

from onnx import helper
from tiny_networks import tiny_model

from lc_trt.compiler.graph import Graph
from lc_trt.compiler.passes.convolution import convolution


def test_both_kinds_have_the_same_names():
    graph = Graph(tiny_model())
    views = [view for node in graph.nodes if (view := convolution(node)) is not None]
    assert {view.in_region for view in views} == {False, True} == {bool(v.bias) for v in views}
    for view in views:
        weight = graph.constants[view.weight]
        assert weight.ndim == 4
        if view.bias:
            assert graph.constants[view.bias].shape == weight.shape[:1]
        assert view.x not in graph.constants and view.output_name == view.node.output[0]


def test_an_omitted_bias_can_be_set():
    view = convolution(helper.make_node("Conv", ["x", "w"], ["y"]))
    assert view.bias == ""
    view.weight, view.bias = "other", "b"
    assert list(view.node.input) == ["x", "other", "b"]


def test_other_nodes_are_no_convolutions():
    assert convolution(helper.make_node("Gemm", ["x", "w"], ["y"])) is None
    assert convolution(helper.make_node("Conv", ["x", "w"], ["y"], domain="other")) is None
