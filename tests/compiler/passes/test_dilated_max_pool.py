"""Dilated max pooling as maxima of shifted maps."""

from __future__ import annotations

import numpy as np
import pytest
import torch
from onnx import helper
from pass_cases import graph_of, operators, reasons
from tiny_networks import session, tiny_model

from lc_trt.compiler.pass_manager import run_passes
from lc_trt.compiler.passes.dilated_max_pool import DilatedMaxPool


@pytest.mark.parametrize(("kernel", "dilation"), [(3, 2), (3, 4), (5, 2)])
def test_dilated_pools_become_shifted_maxima(kernel, dilation):
    pad = dilation * (kernel // 2)
    node = helper.make_node(
        "MaxPool", ["x"], ["y"], name="pool", kernel_shape=[kernel] * 2, dilations=[dilation] * 2,
        pads=[pad] * 4, strides=[1, 1],
    )  # fmt: skip
    info = [helper.make_tensor_value_info(n, 1, [2, 3, 9, 11]) for n in ("x", "y")]
    graph = helper.make_graph([node], "g", info[:1], info[1:])
    model = helper.make_model(graph, opset_imports=[helper.make_opsetid("", 18)], ir_version=10)
    shifted = run_passes(model, [DilatedMaxPool()])
    assert "MaxPool" not in operators(shifted)
    x = np.random.default_rng(0).normal(size=(2, 3, 9, 11)).astype(np.float32)  # negative too
    expected = torch.nn.functional.max_pool2d(
        torch.nn.functional.pad(torch.from_numpy(x), (pad,) * 4, value=-np.inf),
        kernel, 1, dilation=dilation,
    )  # fmt: skip
    np.testing.assert_array_equal(session(shifted).run(None, {"x": x})[0], expected.numpy())


def test_pools_without_dilation_are_left():
    model = tiny_model()
    assert operators(run_passes(model, [DilatedMaxPool()])) == operators(model)


def pool(shape=(1, 2, 9, 9), **attributes):
    sides = len(shape) - 2
    window = {"kernel_shape": [3] * sides, "dilations": [2] * sides, "pads": [2] * 2 * sides}
    node = helper.make_node("MaxPool", ["x"], ["y"], "pool", **{**window, **attributes})
    return graph_of([node], x=shape, y=["?"] * len(shape))


@pytest.mark.parametrize(
    ("model", "reason"),
    [
        (pool(strides=[2, 2]), "its stride is not 1"),
        (pool((1, 2, 9)), "it is in 1 dimensions"),
        (pool(pads=None, auto_pad="SAME_UPPER"), "it has no explicit padding"),
    ],
)
def test_dilated_pools_that_are_left_have_a_reason(model, reason):
    assert reasons(model, DilatedMaxPool()) == {"pool": reason}
