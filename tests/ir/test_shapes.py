"""Static shapes, against those of the tensors that ONNX Runtime computes."""

from __future__ import annotations

import numpy as np
import onnx
import pytest
from hypothesis import given
from hypothesis import strategies as st
from onnx import TensorProto, helper
from tiny_networks import session, tiny_encoder_model, tiny_model

from lc_trt.ir.builder import GraphBuilder, image_input
from lc_trt.ir.shapes import static_shapes


def padded_model() -> onnx.ModelProto:
    """Pads an image to multiples of 32 and crops it to half its size, by arithmetic on sizes."""
    b = GraphBuilder()
    x = b.op("Cast", "image", to=TensorProto.FLOAT)
    size = b.op("Shape", x, start=1, end=3)
    rest = b.op("Mod", b.op("Neg", size), b.constant(32, np.int64))
    zeros, zero = b.constant([0] * 5, np.int64), b.constant([0], np.int64)
    padded = b.op("Pad", x, b.op("Concat", zeros, rest, zero, axis=0), output="padded")
    half = b.op("Div", b.op("Add", size, b.constant(1, np.int64)), b.constant(2, np.int64))
    bounds = (b.constant([0, 0], np.int64), half, b.constant([1, 2], np.int64))
    b.op("Slice", padded, *bounds, output="cropped")
    outputs = [helper.make_tensor_value_info(n, 1, list("nhwc")) for n in ("padded", "cropped")]
    return b.model([image_input()], outputs, "padded")


@given(size=st.tuples(st.integers(1, 90), st.integers(1, 90)))
def test_arithmetic_on_sizes_is_followed(size: tuple[int, int]) -> None:
    model = padded_model()
    shapes = static_shapes(model, size)
    found = session(model).run(["padded", "cropped"], {"image": np.zeros((1, *size, 3), np.uint8)})
    assert [shapes[name] for name in ("padded", "cropped")] == [value.shape for value in found]


@pytest.mark.parametrize("model", [tiny_model(), tiny_encoder_model()], ids=["published", "exact"])
def test_maps_of_a_cascade_have_shapes_and_rows_have_none(model: onnx.ModelProto) -> None:
    shapes = static_shapes(model, (45, 61))
    feed = {"image": np.zeros((1, 45, 61, 3), np.uint8), "rho": np.ones(2, np.float32)}
    names = [output.name for output in model.graph.output]
    for name, value in zip(names, session(model).run(names, feed), strict=True):
        assert shapes[name] == value.shape
    rows = [n.output[0] for n in model.graph.node if n.op_type in ("RegionConv", "RegionGather")]
    assert rows and not any(name in shapes for name in rows)
