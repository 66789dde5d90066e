"""Products of 8-bit rows against the same arithmetic in NumPy."""

from __future__ import annotations

import numpy as np
import onnx
import pytest
from onnx import TensorProto, helper
from tiny_networks import session

from lc_trt.compiler.graph import Graph
from lc_trt.compiler.lower_standard.builder import Builder
from lc_trt.compiler.lower_standard.int8 import (
    Dequantized,
    dequantized,
    region_product,
    tap_products,
)

ROWS, INPUTS, OUTPUTS = 5, 3, 4
ZERO_POINT = 7


@pytest.fixture
def rng() -> np.random.Generator:
    return np.random.default_rng(0)


def empty_graph() -> Graph:
    x = helper.make_tensor_value_info("x", TensorProto.UINT8, [ROWS, INPUTS])
    y = helper.make_tensor_value_info("y", TensorProto.FLOAT, None)
    return Graph(helper.make_model(helper.make_graph([], "g", [x], [y]), opset_imports=[
        helper.make_opsetid("", 18)
    ]))  # fmt: skip


def run(builder: Builder, output: str, rows: np.ndarray) -> np.ndarray:
    builder.add("Identity", output, name="result", output="y")
    builder.graph.nodes = builder.nodes
    model = builder.graph.encode()
    del model.graph.output[0].type.tensor_type.shape.dim[:]
    (result,) = session(model).run(None, {"x": rows})
    return np.asarray(result)


@pytest.mark.parametrize("taps", [1, 3])
def test_products_are_those_of_the_decoded_values(taps: int, rng: np.random.Generator) -> None:
    rows = rng.integers(0, 256, (ROWS, INPUTS), dtype=np.uint8)
    weight = rng.integers(-127, 128, (OUTPUTS, INPUTS, 1, taps), dtype=np.int8)
    scales = rng.uniform(0.01, 0.1, OUTPUTS).astype(np.float32)
    bias = rng.standard_normal(OUTPUTS).astype(np.float32)
    neighbours = rng.integers(0, ROWS + 1, (ROWS, taps))  # 0 stands for none

    b = Builder(empty_graph())
    x = Dequantized("x", b.const("s", 0.5, "float32"), b.const("z", ZERO_POINT, "uint8"))
    w = Dequantized(
        b.const("w", weight, "int8"), b.const("ws", scales, "float32"),
        b.const("wz", np.zeros(OUTPUTS), "int8"),
    )  # fmt: skip
    table = None if taps == 1 else b.const("table", neighbours, "int64")
    y = region_product(b, x, w, b.const("bias", bias, "float32"), table, "p")

    decoded = np.vstack([np.zeros((1, INPUTS)), 0.5 * (rows.astype(float) - ZERO_POINT)])
    read = decoded[neighbours] if taps > 1 else decoded[1:, None]
    values = weight[:, :, 0].astype(float) * scales[:, None, None]
    expected = np.einsum("rtc,oct->ro", read, values) + bias
    np.testing.assert_allclose(run(b, y, rows), expected, rtol=1e-4, atol=1e-4)


def test_each_row_meets_each_tap_once(rng: np.random.Generator) -> None:
    rows = rng.integers(0, 256, (ROWS, INPUTS), dtype=np.uint8)
    weight = rng.integers(-127, 128, (OUTPUTS, INPUTS, 3, 1), dtype=np.int8)
    b = Builder(empty_graph())
    x = Dequantized("x", b.const("s", 0.5, "float32"), b.const("z", ZERO_POINT, "uint8"))
    w = Dequantized(
        b.const("w", weight, "int8"), b.const("ws", np.full(OUTPUTS, 0.1), "float32"),
        b.const("wz", np.zeros(OUTPUTS), "int8"),
    )  # fmt: skip
    y = tap_products(b, x, w, "p")
    decoded = 0.5 * (rows.astype(float) - ZERO_POINT)
    expected = np.einsum("rc,oct->rto", decoded, 0.1 * weight[..., 0].astype(float))
    result = run(b, y, rows).reshape(ROWS, 3, OUTPUTS)
    np.testing.assert_allclose(result, expected, rtol=1e-4, atol=1e-4)


def test_a_dequantize_without_a_zero_point_is_no_8_bit_row() -> None:
    whole = helper.make_node("DequantizeLinear", ["q", "s", "z"], ["y"])
    assert dequantized(whole) == Dequantized("q", "s", "z")
    without = helper.make_node("DequantizeLinear", ["q", "s"], ["y"])
    other: onnx.NodeProto = helper.make_node("Relu", ["q"], ["y"])
    assert dequantized(without) is None and dequantized(other) is None
