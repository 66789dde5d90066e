"""Summed branches become one product of their input rows."""

from __future__ import annotations

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from onnx import TensorProto, helper, numpy_helper
from tiny_networks import INFO, frames, run, session, tiny_model

from lc_trt.compiler.graph import Graph
from lc_trt.compiler.lower_standard import LowerStandard
from lc_trt.compiler.lower_standard.fused_sums import find_sums
from lc_trt.compiler.lower_standard.neighbours import window
from lc_trt.compiler.pass_manager import run_passes
from lc_trt.compiler.passes.freeze import Freeze
from lc_trt.ir.interface import DOMAIN

SIZE = (52, 75)


@pytest.fixture(scope="module")
def aspp():
    """A tiny irnet with ASPP heads: five branches each."""
    return run_passes(tiny_model("irnet", "aspp"), [Freeze(2, SIZE)])


def products(model, head):
    names = [n.name for n in model.graph.node if n.op_type == "MatMul" and n.name.startswith(head)]
    return [name for name in names if "branch" in name or "sum" in name]


def test_branches_of_an_aspp_head_are_merged_and_share_a_tap(aspp):
    lowered = run_passes(aspp, [LowerStandard()])
    constants = {t.name: tuple(t.dims) for t in lowered.graph.initializer}
    for head in ("head2", "head3"):
        (product,) = products(lowered, head)
        node = next(n for n in lowered.graph.node if n.name == product)
        # Five windows of nine, whose middles are the same pixel.
        assert constants[node.input[1]][1] == (5 * 9 - 4) * len(INFO.classes)


@pytest.mark.parametrize("rho", [(-1, -1), (0.3, 0.3), (2, -1), (2, 2)])
def test_merged_sums_equal_the_functions(aspp, rho):
    images = frames(2, SIZE)
    expected = run(session(aspp), images, rho)
    outputs = run(session(run_passes(aspp, [LowerStandard()])), images, rho)
    assert (outputs["labels"] == expected["labels"]).mean() >= 0.999
    np.testing.assert_array_equal(outputs["stages"], expected["stages"])
    np.testing.assert_allclose(outputs["confidence"], expected["confidence"], atol=1e-5)


def test_named_outputs_are_preserved(aspp):
    name = "head2/3/branch3/conv"
    assert any(name in n.output for n in aspp.graph.node)
    lowered = run_passes(aspp, [LowerStandard(named=[name])])
    assert any(name in n.output for n in lowered.graph.node)
    assert len(products(lowered, "head2")) == 3  # those before it, itself, and the one after
    assert len(products(lowered, "head3")) == 1
    assert not any(name in n.output for n in run_passes(aspp, [LowerStandard()]).graph.node)


def graph_of_sum(change=lambda nodes, constants: None, rows=("rows", "rows")):
    """Two region convolutions of ``x``, 8 to 3 channels, and their sum."""
    rng = np.random.default_rng(0)
    constants = {"none": np.zeros((1, 1), np.float32)}
    nodes = []
    for k, kernel in enumerate(((1, 1), (3, 3))):
        constants[f"w{k}"] = rng.normal(size=(3, 8, *kernel)).astype(np.float32)
        constants[f"b{k}"] = rng.normal(size=3).astype(np.float32)
        inputs = ["x", rows[k], "index", "count", f"w{k}", f"b{k}", "none"]
        nodes.append(
            helper.make_node(
                "RegionConv", inputs, [f"y{k}"], f"conv{k}", domain=DOMAIN,
                kernel_shape=kernel, dilations=[2, 2],
            )
        )  # fmt: skip
    nodes.append(helper.make_node("Add", ["y0", "y1"], ["y"], "sum"))
    change(nodes, constants)
    graph = helper.make_graph(
        nodes, "g", [], [helper.make_tensor_value_info("y", TensorProto.FLOAT, None)],
        [numpy_helper.from_array(value, name) for name, value in constants.items()],
    )  # fmt: skip
    return Graph(helper.make_model(graph))


def test_weights_of_a_shared_tap_and_biases_add_up():
    graph = graph_of_sum()
    fused = find_sums(graph, ())
    assert fused.dropped == {"y0", "y1"} and list(fused.sums) == ["y"]
    merged, constants = fused.sums["y"], graph.constants
    assert set(merged.taps) == set(window((3, 3), (2, 2)))
    np.testing.assert_array_equal(merged.bias, constants["b0"] + constants["b1"])
    middle = constants["w0"][..., 0, 0] + constants["w1"][..., 1, 1]
    np.testing.assert_array_equal(merged.weights[0, 0], middle)
    np.testing.assert_array_equal(merged.weights[-2, 2], constants["w1"][..., 0, 2])


def activated(nodes, constants):
    nodes[0].attribute.append(helper.make_attribute("activation", 1))


def scaled(nodes, constants):
    nodes[0].attribute.append(helper.make_attribute("residual_scale", 0.5))


def with_residual(nodes, constants):
    nodes[1].input[6] = "x"


def widening(nodes, constants):
    constants["w0"] = np.zeros((8, 3, 1, 1), np.float32)
    constants["b0"] = np.zeros(8, np.float32)


def read_twice(nodes, constants):
    nodes.append(helper.make_node("Relu", ["y0"], ["z"], "reader"))


def not_constant(nodes, constants):
    del constants["w1"]


def of_a_map(nodes, constants):
    constants["index"] = np.arange(1, 5, dtype=np.int32).reshape(1, 2, 2)


@pytest.mark.parametrize(
    "change", [activated, scaled, with_residual, widening, read_twice, not_constant, of_a_map]
)
def test_convolutions_with_an_epilogue_are_left(change):
    fused = find_sums(graph_of_sum(change), ())
    assert not fused.sums and not fused.dropped


@pytest.mark.parametrize(
    ("graph", "named", "reason"),
    [
        (graph_of_sum(rows=("rows", "others")), (), "read different rows"),
        (graph_of_sum(read_twice), (), "is read elsewhere"),
        (graph_of_sum(), ["y1"], "is a required tensor"),
    ],
    ids=["two regions", "read twice", "named"],
)
def test_sums_that_are_left_have_a_reason(graph, named, reason):
    fused = find_sums(graph, named)
    assert not fused.sums and not fused.dropped
    ((node, why),) = fused.separate
    assert node.name == "sum" and reason in why


@settings(max_examples=30, deadline=None)
@given(
    kernel=st.tuples(st.sampled_from([1, 3, 5, 7]), st.sampled_from([1, 3, 5, 7])),
    dilations=st.tuples(st.integers(1, 24), st.integers(1, 24)),
)
def test_window_offsets_are_row_major_around_the_centre(kernel, dilations):
    taps = window(kernel, dilations)
    assert len(set(taps)) == len(taps) == kernel[0] * kernel[1]
    assert taps[len(taps) // 2] == (0, 0)
    assert list(taps) == sorted(taps)
    assert max(dy for dy, _ in taps) == kernel[0] // 2 * dilations[0]
    assert min(dx for _, dx in taps) == -(kernel[1] // 2) * dilations[1]
