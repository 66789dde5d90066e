"""A graph is read once, edited in place and encoded once."""

from __future__ import annotations

import ml_dtypes
import numpy as np
import onnx
import pytest
from onnx import TensorProto, helper, numpy_helper
from tiny_networks import session, tiny_model

from lc_trt.compiler.graph import Graph
from lc_trt.compiler.tensor_types import TensorType


def small_model(constants=None, nodes=(), functions=(), size=("n", 3)):
    """``y`` = relu(``x`` + ``shift``), and what a test adds."""
    body = [
        helper.make_node("Add", ["x", "shift"], ["sum"], "add"),
        helper.make_node("Relu", ["sum"], ["y"], "relu"),
    ]
    constants = {"shift": np.array([-1, 0, 1], np.float32)} | (constants or {})
    values = [helper.make_tensor_value_info(name, TensorProto.FLOAT, size) for name in "xy"]
    graph = helper.make_graph(
        [*nodes, *body], "small", values[:1], values[1:],
        [numpy_helper.from_array(value, name) for name, value in constants.items()],
    )  # fmt: skip
    opsets = [helper.make_opsetid("", 18), helper.make_opsetid("local", 1)]
    return helper.make_model(graph, functions=functions, opset_imports=opsets, ir_version=10)


def double():
    return helper.make_function(
        "local", "Double", ["a"], ["b"], [helper.make_node("Add", ["a", "a"], ["b"])],
        [helper.make_opsetid("", 18)],
    )  # fmt: skip


def test_an_exchange_model_survives_reading_and_encoding():
    model = tiny_model()
    before = model.SerializeToString(deterministic=True)
    encoded = Graph(model).encode()
    del model.graph.value_info[:]
    assert encoded.SerializeToString(deterministic=True) == before


@pytest.mark.parametrize(
    "value",
    [
        np.float32(3),
        np.arange(6, dtype=np.int64).reshape(2, 3),
        np.arange(6, dtype=np.float32).reshape(2, 3).T,  # not contiguous
        np.ones((3, 1), ml_dtypes.bfloat16),
        np.zeros((0, 3), np.int8),
        np.array(["a", "b"], object),
    ],
    ids=str,
)
def test_a_constant_keeps_its_values_type_and_shape(value):
    graph = Graph(small_model())
    graph.constants["shift"] = np.asarray(value)
    (tensor,) = graph.encode().graph.initializer
    np.testing.assert_array_equal(numpy_helper.to_array(tensor), value)
    assert tuple(tensor.dims) == np.shape(value)


def test_reading_does_not_change_the_model():
    model = small_model(functions=[double()])
    before = model.SerializeToString(deterministic=True)
    graph = Graph(model)
    graph.nodes[0].input[1] = "x"
    graph.inputs[0].type.tensor_type.shape.dim[0].dim_value = 7
    graph.outputs[0].name = "other"
    next(iter(graph.functions.values())).name = "Twice"
    graph.metadata["key"] = "value"
    assert model.SerializeToString(deterministic=True) == before


def test_constant_nodes_are_constants():
    value = numpy_helper.from_array(np.array([5, 6, 7], np.float32))
    node = helper.make_node("Constant", [], ["later"], "later", value=value)
    graph = Graph(small_model(nodes=[node]))
    graph.nodes[0].input[1] = "later"
    x = np.zeros((1, 3), np.float32)
    np.testing.assert_array_equal(session(graph.encode()).run(None, {"x": x})[0], [[5, 6, 7]])


def test_unread_nodes_are_not_encoded():
    nodes = [
        helper.make_node("Mul", ["x", "unread"], ["a"], "mul"),
        helper.make_node("Double", ["a"], ["b"], "double", domain="local"),
    ]
    model = small_model({"unread": np.ones(3, np.float32)}, nodes, [double()])
    encoded = Graph(model).encode()
    assert [n.name for n in encoded.graph.node] == ["add", "relu"]
    assert [t.name for t in encoded.graph.initializer] == ["shift"]
    assert not encoded.functions


def test_names_are_unique():
    graph = Graph(small_model())
    assert graph.constant("shift", 1, np.float32) == "shift_2"
    assert graph.unique("sum") == "sum_2"
    assert graph.make("Relu", ["x"], "relu").output[0] == "relu_2"


def test_renaming_a_chain_keeps_the_name_of_an_output():
    graph = Graph(small_model())
    graph.nodes = [n for n in graph.nodes if n.op_type != "Relu"]
    graph.rename_uses({"y": "between", "between": "sum"})
    encoded = graph.encode()
    assert [(n.op_type, *n.output) for n in encoded.graph.node] == [
        ("Add", "sum"), ("Identity", "y"),
    ]  # fmt: skip


def test_edges_name_producers_and_readers():
    twice = helper.make_node("Mul", ["x", "x"], ["square"], "square")
    graph = Graph(small_model(nodes=[twice]))
    edges = graph.edges()
    assert edges.producers["sum"].name == "add" and "x" not in edges.producers
    assert [n.name for n in edges.readers["x"]] == ["square", "square", "add"]
    assert (edges.uses["x"], edges.uses["y"], edges.uses["square"]) == (3, 1, 0)


def test_types_and_shapes_are_those_of_onnx_inference():
    model = tiny_model()
    graph = Graph(model)
    for value in onnx.shape_inference.infer_shapes(model, data_prop=True).graph.value_info:
        kind = value.type.tensor_type
        assert graph.type_of(value.name).element == kind.elem_type
        if kind.HasField("shape"):
            sizes = [d.dim_value if d.HasField("dim_value") else None for d in kind.shape.dim]
            assert graph.dims(value.name) == tuple(sizes)
    weight = max(model.graph.initializer, key=lambda t: len(t.raw_data))
    assert graph.type_of(weight.name) == TensorType(TensorProto.FLOAT, tuple(weight.dims))
    assert graph.dims("no such tensor") is None


def test_a_shape_is_known_if_all_its_sizes_are():
    graph = Graph(small_model())
    assert graph.dims("sum") == (None, 3) and graph.shape("sum") is None
    assert Graph(small_model(size=(2, 3))).shape("sum") == (2, 3)


def test_types_of_added_nodes_are_inferred():
    graph = Graph(small_model(size=(2, 3)))
    assert graph.shape("sum") == (2, 3)
    graph.nodes.append(graph.make("Transpose", ["sum"], "turned"))
    assert graph.shape("turned") is None
    graph.edited()
    assert graph.shape("turned") == (3, 2)
    graph.inputs[0].type.tensor_type.shape.dim[0].dim_value = 5
    graph.edited()
    assert graph.shape("turned") == (3, 5)


def test_large_constants_are_left_out_of_the_skeleton():
    graph = Graph(small_model({"shift": np.ones((1000, 3), np.float32)}))
    skeleton = graph.skeleton()
    assert not skeleton.graph.initializer
    assert skeleton.ByteSize() < 1000
    onnx.checker.check_model(skeleton)
    assert graph.dims("sum") == (1000, 3)
