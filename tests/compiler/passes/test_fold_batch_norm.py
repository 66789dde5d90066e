"""Batch norms and factors are folded into the preceding convolutions."""

from __future__ import annotations

import numpy as np
import pytest
from onnx import helper, numpy_helper
from pass_cases import FORMS, assert_same, graph_of, operators, reasons
from tiny_networks import session, tiny_model

from lc_trt.compiler.graph import Graph
from lc_trt.compiler.pass_manager import run_passes
from lc_trt.compiler.passes.fold_batch_norm import FoldBatchNorm
from lc_trt.ir.node_view import NodeView
from lc_trt.ir.operator_schema import is_region
from lc_trt.ir.region_ops import REGION_CONV


@pytest.fixture(scope="module", params=FORMS, ids="-".join)
def source(request):
    return tiny_model(*request.param)


def test_batch_norm_and_factors_go_into_convolutions(source):
    model = run_passes(source, [FoldBatchNorm()])
    assert_same(source, model)
    assert "BatchNormalization" not in operators(model)
    factors = [n for n in model.graph.node if n.op_type == "Mul" and n.name.endswith("/scale")]
    assert not factors


def test_factors_of_region_convolutions_can_be_left():
    source = tiny_model()
    model = run_passes(source, [FoldBatchNorm(region_factors=False)])
    assert_same(source, model)
    factors = {n.name for n in model.graph.node if n.op_type == "Mul" and n.name.endswith("/scale")}
    # One a residual block: stage 1's are dense and folded, stages 2 and 3 have one and two.
    assert factors - {"input/scale"} == {"stage2/0/scale", "stage3/0/scale", "stage3/1/scale"}
    assert "BatchNormalization" not in operators(model)


NORM = {"scale": 1.5, "shift": 0.5, "mean": 0.25, "var": 2.0}


def conv_and(node, *others):
    """A Conv, a candidate for folding behind it, and other nodes."""
    conv = helper.make_node("Conv", ["x", "w"], ["a"], "conv")
    constants = {name: np.full(2, value, np.float32) for name, value in NORM.items()}
    constants |= {"w": np.full((2, 2, 1, 1), 0.5, np.float32), "factor": np.float32(3)}
    return graph_of([conv, node, *others], constants)


def batch_norm(output="y"):
    return helper.make_node("BatchNormalization", ["a", *NORM], [output], "norm")


def test_a_convolution_with_two_readers_keeps_its_batch_norm():
    model = conv_and(batch_norm("b"), helper.make_node("Add", ["a", "b"], ["y"], "add"))
    folded = run_passes(model, [FoldBatchNorm()])
    assert operators(folded) == {"Conv", "BatchNormalization", "Add"}
    x = {"x": np.ones((1, 2, 3, 3), np.float32)}
    np.testing.assert_allclose(session(folded).run(None, x)[0], session(model).run(None, x)[0])
    assert reasons(model, FoldBatchNorm()) == {"norm": "'conv' before it is read 2 times"}


@pytest.mark.parametrize(
    ("change", "reason"),
    [
        ({"residual_scale": 0.5}, "before it has a factor"),
        ({"activation": 1}, "before it has an activation"),
        ({"residual": "other"}, "before it adds a residual"),
        ({"weight": "computed"}, "before it is not a constant"),
    ],
)
def test_region_convolutions_that_are_left_have_a_reason(change, reason):
    graph = Graph(tiny_model())
    readers = graph.edges().readers
    conv, norm = next(
        (node, readers[node.output[0]][0])
        for node in graph.nodes
        if is_region(node, REGION_CONV)
        and readers[node.output[0]][0].op_type == "BatchNormalization"
    )
    for name, value in change.items():
        view = NodeView(conv)
        if isinstance(value, str):
            view.set_input(name, value)
        else:
            view.set_attribute(name, value)
    reasons = {s.node: s.reason for s in FoldBatchNorm().apply(graph).skipped}
    assert reason in reasons[norm.name]


def test_factors_left_for_tensorrt_have_a_reason():
    found = set(reasons(tiny_model(), FoldBatchNorm(region_factors=False)).values())
    assert "RegionConv has an attribute for a factor" in found


def test_factors_are_not_folded_through_an_activation():
    """-2 * relu(conv) is not relu(-2 * conv)."""
    source = run_passes(tiny_model(), [FoldBatchNorm()])
    readers = {i: n for n in source.graph.node for i in n.input}
    conv = next(
        n
        for n in source.graph.node
        if n.op_type == "RegionConv" and readers[n.output[0]].op_type == "Relu"
    )
    relu = readers[conv.output[0]]
    conv.attribute.append(helper.make_attribute("activation", 1))
    relu.op_type = "Mul"
    source.graph.initializer.append(numpy_helper.from_array(np.float32(-2), "factor"))
    relu.input.append("factor")
    assert_same(source, run_passes(source, [FoldBatchNorm()]))
    assert any("factor" in n.input for n in run_passes(source, [FoldBatchNorm()]).graph.node)
