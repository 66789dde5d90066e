"""Types of tensors from ONNX's shape inference."""

from __future__ import annotations

import numpy as np
import pytest
from onnx import TensorProto, helper
from pass_cases import graph_of
from tiny_networks import tiny_model

from lc_trt.compiler.tensor_types import TensorType, infer_types


@pytest.mark.parametrize(
    ("dims", "shape"), [((2, 3), (2, 3)), ((), ()), ((None, 3), None), (None, None)]
)
def test_a_shape_has_no_symbolic_size(dims, shape):
    assert TensorType(TensorProto.FLOAT, dims).shape == shape


def test_a_constant_s_type():
    assert TensorType.of(np.zeros((2, 0), np.int8)) == TensorType(TensorProto.INT8, (2, 0))


def test_inputs_outputs_and_intermediate_tensors_have_types():
    model = tiny_model()
    types = infer_types(model)
    assert types["image"] == TensorType(TensorProto.UINT8, (None, None, None, 3))
    assert types["stages"] == TensorType(TensorProto.UINT8, (None, None, None))
    convs = [n for n in model.graph.node if n.op_type in ("Conv", "RegionConv")]
    assert {types[n.output[0]].element for n in convs} == {TensorProto.FLOAT}


def test_a_slice_with_computed_ends_keeps_the_other_sizes():
    """And so do the tensors after it."""
    nodes = [
        helper.make_node("Shape", ["x"], ["ends"], start=2, end=4),
        helper.make_node("Slice", ["x", "starts", "ends", "axes"], ["cut"]),
        helper.make_node("Concat", ["cut", "x"], ["y"], axis=1),
    ]
    constants = {"starts": np.array([0, 0]), "axes": np.array([2, -1])}
    sizes = ("n", 5, "h", "w")
    types = infer_types(graph_of(nodes, constants, sizes, ("n", None, None, None)))
    assert types["cut"].dims == (None, 5, None, None)
    assert types["y"].dims == (None, 10, None, None)


def test_operators_without_a_schema_have_no_types():
    nodes = [
        helper.make_node("Mystery", ["x"], ["hidden"], domain="com.example"),
        helper.make_node("Relu", ["hidden"], ["y"]),
    ]
    model = graph_of(nodes)
    model.opset_import.append(helper.make_opsetid("com.example", 1))
    types = infer_types(model)
    assert "hidden" not in types and types["y"].shape == (1, 2, 3, 3)
