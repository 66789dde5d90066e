"""Biases of 8-bit products as int32, for ONNX Runtime's integer kernels."""

from __future__ import annotations

import numpy as np
import pytest
from onnx import helper
from pass_cases import graph_of, reasons
from tiny_networks import session

from lc_trt.compiler.graph import Graph
from lc_trt.compiler.pass_manager import run_passes
from lc_trt.compiler.passes.int32_bias import Int32Bias

CONSTANTS = {
    "scale": np.float32(0.1), "zero": np.uint8(0),
    "w": np.int8([[[[3]], [[-2]]], [[[5]], [[7]]]]), "w_scale": np.float32([0.5, 0.25]),
    "w_zero": np.int8([0, 0]), "bias": np.float32([1.25, -0.4]),
    "float_w": np.ones((2, 2, 1, 1), np.float32),
}  # fmt: skip


def quantised_conv(*inputs):
    """Conv of ``x`` in 8 bits; the inputs are those of the Conv."""
    nodes = [
        helper.make_node("QuantizeLinear", ["x", "scale", "zero"], ["q"], "q"),
        helper.make_node("DequantizeLinear", ["q", "scale", "zero"], ["dq"], "dq"),
        helper.make_node("DequantizeLinear", ["w", "w_scale", "w_zero"], ["dw"], "dw", axis=0),
        helper.make_node("Conv", list(inputs), ["y"], "conv"),
    ]
    return graph_of(nodes, CONSTANTS)


@pytest.mark.parametrize("inputs", [("dq", "dw", "bias"), ("dq", "dw")])
def test_a_bias_is_rounded_to_steps_of_the_product(inputs):
    model = quantised_conv(*inputs)
    changed = run_passes(model, [Int32Bias()])
    constants = Graph(changed).constants
    steps = [round(1.25 / 0.05), round(-0.4 / 0.025)] if len(inputs) == 3 else [0, 0]
    assert constants["conv/bias_int32"].dtype == np.int32
    assert constants["conv/bias_int32"].tolist() == steps
    x = {"x": np.random.default_rng(0).random((1, 2, 3, 3), np.float32) * 20}
    expected, found = (session(m).run(None, x)[0] for m in (model, changed))
    np.testing.assert_allclose(found, expected, atol=0.03)


def test_a_bias_beyond_int32_keeps_its_sign():
    graph = Graph(quantised_conv("dq", "dw", "bias"))
    graph.constants["w_scale"] = np.float32([1e-12, 1e-12])
    constants = Graph(run_passes(graph.encode(), [Int32Bias()])).constants
    limits = np.iinfo(np.int32)
    assert constants["conv/bias_int32"].tolist() == [limits.max, limits.min]


@pytest.mark.parametrize(
    ("inputs", "reason"),
    [
        (("x", "float_w"), "it is in floating point"),
        (("dq", "float_w"), "only one of its factors is quantised"),
        (("x", "dw"), "only one of its factors is quantised"),
    ],
)
def test_products_that_are_left_have_a_reason(inputs, reason):
    assert reasons(quantised_conv(*inputs), Int32Bias()) == {"conv": reason}
