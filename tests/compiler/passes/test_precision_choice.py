"""Which operators compute in FP32, and the reason for each."""

from __future__ import annotations

import numpy as np
import pytest
from onnx import helper
from pass_cases import graph_of

from lc_trt.compiler.graph import Graph
from lc_trt.compiler.passes.mixed_precision import NoteFp32
from lc_trt.compiler.passes.precision_choice import FULL, PrecisionChoice, exceeds_half
from lc_trt.compiler.precision import Precision


def chain(*nodes):
    """A Conv from ``x`` to ``a``, then nodes from ``a`` to ``y``."""
    constants = {"w": np.ones((2, 2, 1, 1), np.float32), "big": np.float32(1e6)}
    constants["twice"] = np.float32([1, 1, 2, 2])
    return Graph(graph_of([helper.make_node("Conv", ["x", "w"], ["a"], "conv"), *nodes], constants))


@pytest.mark.parametrize(
    ("nodes", "keep", "reason"),
    [
        ([helper.make_node("Softmax", ["a"], ["y"], "n")], (), "Softmax needs FP32"),
        ([helper.make_node("Relu", ["a"], ["y"], "n")], ["a"], "FP16 cannot hold 'a'"),
        (
            [helper.make_node("Mul", ["a", "big"], ["y"], "n")], (),
            "FP16 cannot hold a constant that it reads",
        ),
        (
            [helper.make_node("Relu", ["x"], ["y"], "n")], (),
            "none of its inputs is in half precision",
        ),
        ([helper.make_node("Relu", ["a"], ["y"], "up/n")], (), "it is part of an operator"),
    ],
)  # fmt: skip
def test_each_operator_in_fp32_has_a_reason(nodes, keep, reason):
    graph = chain(*nodes)
    graph.expanded = {"up": "Resize", "down": "Relu"}
    found = {s.node: s.reason for s in NoteFp32(Precision.FP16, keep).apply(graph).skipped}
    assert reason in found[nodes[0].name]


@pytest.mark.parametrize(("mode", "full"), [("nearest", False), ("linear", True)])
def test_a_resize_that_copies_values_follows_its_input(mode, full):
    graph = chain(helper.make_node("Resize", ["a", "", "twice"], ["y"], "resize", mode=mode))
    choice = PrecisionChoice(graph, Precision.BF16, ())
    conv, resize = graph.nodes
    choice.follow(conv, choice.element(conv))
    assert choice.element(resize) == (FULL if full else choice.half)


def test_what_follows_a_product_is_in_half_precision():
    graph = chain(
        helper.make_node("Relu", ["a"], ["b"], "relu"),
        helper.make_node("Softmax", ["b"], ["c"], "softmax"),
        helper.make_node("Neg", ["c"], ["y"], "neg"),
    )
    choice = PrecisionChoice(graph, Precision.BF16, ())
    elements = []
    for node in graph.nodes:
        elements.append(choice.element(node))
        choice.follow(node, elements[-1])
    assert elements == [choice.half, choice.half, FULL, FULL]


@pytest.mark.parametrize(
    ("value", "exceeds"),
    [
        (np.float32([65504]), False),
        (np.float32([0, -65536]), True),
        (np.float32([]), False),
        (np.int64([1 << 40]), False),
    ],
)
def test_a_constant_beyond_fp16(value, exceeds):
    assert exceeds_half(value) is exceeds
