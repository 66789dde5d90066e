"""FP16 and BF16 types in the graph, and values that overflow them."""

from __future__ import annotations

import json

import numpy as np
import onnx
import pytest
from compilation import lowered_for_tensorrt
from onnx import TensorProto, helper, numpy_helper
from tiny_networks import session, tiny_model

from lc_trt.compiler.graph import Graph
from lc_trt.compiler.pass_manager import run_passes
from lc_trt.compiler.passes.mixed_precision import NoteFp32, ToHalf
from lc_trt.compiler.precision import Precision
from lc_trt.errors import LcTrtError
from lc_trt.ir.interface import FP32_TENSORS

HALF, FULL, INT32 = TensorProto.FLOAT16, TensorProto.FLOAT, TensorProto.INT32
BF16 = TensorProto.BFLOAT16


def types_of(model):
    inferred = onnx.shape_inference.infer_shapes(model, strict_mode=True).graph
    values = (*inferred.input, *inferred.output, *inferred.value_info)
    return {v.name: v.type.tensor_type.elem_type for v in values} | {
        t.name: t.data_type for t in model.graph.initializer
    }


@pytest.fixture(
    scope="module", params=[("irnet", "fp16"), ("inception", "fp16"), ("irnet", "bf16")]
)
def typed(request):
    """A lowered cascade, and its half-precision type."""
    network, half = request.param
    lowered = lowered_for_tensorrt(tiny_model(network, "aspp"), (48, 72), 1, half)
    return lowered, {"fp16": HALF, "bf16": BF16}[half]


@pytest.fixture(scope="module")
def cascade(typed):
    return typed[0]


def test_products_are_half_precision_and_decisions_fp32(typed):
    cascade, half = typed
    types = types_of(cascade)
    seen = set()
    for node in cascade.graph.node:
        given = [types[name] for name in node.input if name]
        if node.op_type == "Conv":
            assert set(given) == {half}
        elif node.op_type == "RegionConv":
            segments = len(given) - 6
            rows, (weight, bias, residual) = given[segments : segments + 3], given[-3:]
            assert {*given[:segments], weight, residual} == {half}
            assert rows == [INT32] * 3 and bias == FULL
        elif node.op_type in ("Softmax", "ReduceMax", "Resize", "ArgMax", "RegionSelect"):
            assert given[0] == FULL
        elif node.op_type in ("RegionGather", "RegionRestrict", "RegionMaxPool", "Concat", "Relu"):
            assert given[0] == half
        else:
            continue
        seen.add(node.op_type)
    assert {"Conv", "RegionConv", "Softmax", "Resize", "ArgMax", "RegionSelect"} <= seen


def test_images_are_normalised_in_fp32(cascade):
    types = types_of(cascade)
    for op_type in ("Sub", "Transpose"):
        (node,) = [n for n in cascade.graph.node if n.op_type == op_type]
        assert types[node.output[0]] == FULL


def test_casts_are_inserted_once_per_type_change(cascade):
    casts = [n for n in cascade.graph.node if n.op_type == "Cast"]
    types = types_of(cascade)
    assert all(types[n.input[0]] != types[n.output[0]] for n in casts)
    made = {n.output[0] for n in casts}
    assert not made & {n.input[0] for n in casts}
    assert len({(n.input[0], types[n.output[0]]) for n in casts}) == len(casts)
    # The image and its normalised form, logits of three stages, and two outputs.
    assert len(casts) == 7


def graph_of(nodes, constants, dtype=FULL, outputs=("y",)):
    graph = helper.make_graph(
        nodes,
        "g",
        [helper.make_tensor_value_info("x", dtype, [1, 2, 3, 4])],
        [helper.make_tensor_value_info(o, dtype, None) for o in outputs],
        [numpy_helper.from_array(np.asarray(v), k) for k, v in constants.items()],
    )
    return helper.make_model(graph, opset_imports=[helper.make_opsetid("", 18)], ir_version=10)


def weight(scale=1.0, dtype=np.float32):
    return (np.eye(2).reshape(2, 2, 1, 1) * scale).astype(dtype)


def conv(x, y, w="w"):
    return helper.make_node("Conv", [x, w], [y], y)


def test_an_overflowing_weight_is_named_with_its_node():
    model = graph_of([conv("x", "y")], {"w": weight(1e6)})
    expected = r"node 'y': weight 'w' reaches 1e\+06, over FP16's 65504; build with --fp32"
    with pytest.raises(LcTrtError, match=expected):
        run_passes(model, [ToHalf()])


def test_an_overflowing_constant_keeps_its_operator_in_fp32():
    nodes = [conv("x", "a"), helper.make_node("Mul", ["a", "big"], ["b"]), conv("b", "y")]
    half = run_passes(graph_of(nodes, {"w": weight(), "big": np.float32(1e6)}), [ToHalf()])
    types = types_of(half)
    assert [types[n.input[0]] for n in half.graph.node if n.op_type != "Cast"] == [HALF, FULL, HALF]


def test_producers_and_readers_of_kept_tensors_are_fp32():
    nodes = [conv("x", "a"), helper.make_node("Relu", ["a"], ["b"]), conv("b", "c"), conv("c", "y")]
    half = run_passes(graph_of(nodes, {"w": weight()}), [ToHalf(keep=["a"])])
    types = types_of(half)
    kinds = [types[n.input[0]] for n in half.graph.node if n.op_type != "Cast"]
    assert kinds == [FULL, FULL, HALF, HALF]
    big = run_passes(graph_of([conv("x", "y")], {"w": weight(1e6)}), [ToHalf(keep=["y"])])
    assert [n.op_type for n in big.graph.node] == ["Conv"], "a weight that does not fit may be kept"


def test_the_metadata_lists_the_fp32_tensors():
    model = lowered_for_tensorrt(tiny_model(), (48, 72), 1, "fp32")
    keep = ["stage1/1/relu"]
    types = types_of(run_passes(model, [ToHalf(keep=keep)]))
    noted = {
        entry.key: entry.value
        for entry in run_passes(model, [NoteFp32(Precision.FP16, keep)]).metadata_props
    }
    full = set(json.loads(noted[FP32_TENSORS]))
    floats = {n: t for n, t in types_of(model).items() if t == FULL}
    made = [name for node in model.graph.node for name in node.output if name in floats]
    assert {n for n in made if types[n] == FULL} == {n for n in made if n in full}
    assert {"stage1/1/relu", "stage1/2/conv", "head1/softmax"} <= full
    assert not {"stage1/0/conv", "stage1/3/branch1/conv"} & full


def test_bf16_keeps_no_tensor_for_its_range():
    nodes = [conv("x", "a"), helper.make_node("Mul", ["a", "big"], ["y"])]
    model = graph_of(nodes, {"w": weight(1e6), "big": np.float32(1e6)})
    notes = [
        run_passes(model, [NoteFp32(p)]).metadata_props[0].value
        for p in (Precision.BF16, Precision.FP16)
    ]
    assert notes == ["[]", '["y"]']


def test_decomposed_operators_keep_the_precision_of_the_original():
    nodes = [conv("x", "a"), helper.make_node("MatMul", ["a", "m"], ["y"], "up/wide")]
    graph = Graph(graph_of(nodes, {"w": weight(), "m": np.eye(4, dtype=np.float32)}))
    notes = []
    for expanded in ({}, {"up": "Softmax"}, {"up": "Relu"}):
        graph.expanded = expanded
        NoteFp32(Precision.BF16).apply(graph)
        notes.append(graph.metadata[FP32_TENSORS])
    assert notes == ["[]", '["y"]', "[]"]


def test_existing_casts_are_ignored():
    """As an FP16 exporter leaves them; the types are assigned again."""
    nodes = [
        helper.make_node("Cast", ["x"], ["h"], to=HALF),
        conv("h", "a"),
        helper.make_node("Cast", ["a"], ["f"], to=FULL),
        helper.make_node("Relu", ["f"], ["r"]),
        helper.make_node("Cast", ["r"], ["h2"], to=HALF),
        conv("h2", "b"),
        helper.make_node("Cast", ["b"], ["y"], to=FULL),
    ]
    model = graph_of(nodes, {"w": weight(dtype=np.float16)})
    half = run_passes(model, [ToHalf()])
    assert [n.op_type for n in half.graph.node] == ["Cast", "Conv", "Relu", "Conv", "Cast"]
    x = np.random.default_rng(0).normal(size=(1, 2, 3, 4)).astype(np.float32)
    (expected,), (found,) = (session(m).run(None, {"x": x}) for m in (model, half))
    np.testing.assert_allclose(found, expected, atol=1e-2)


def test_outputs_keep_their_types():
    nodes = [conv("x", "a"), helper.make_node("Relu", ["a"], ["y"]), conv("y", "z")]
    half = run_passes(graph_of(nodes, {"w": weight()}, outputs=("y", "z")), [ToHalf()])
    types = types_of(half)
    assert types["y"] == types["z"] == FULL
    # Who reads it inside the network reads what was there before its cast.
    order = ["Cast", "Conv", "Relu", "Cast", "Conv", "Cast"]
    assert [n.op_type for n in half.graph.node] == order
    assert next(n for n in half.graph.node if n.name == "z").input[0] == "y/uncast"
    x = np.random.default_rng(0).normal(size=(1, 2, 3, 4)).astype(np.float32)
    y, z = session(half).run(None, {"x": x})
    np.testing.assert_allclose(y, np.maximum(x, 0), atol=1e-2)
    np.testing.assert_allclose(z, np.maximum(x, 0), atol=1e-2)


def test_operators_with_subgraphs_are_refused():
    body = helper.make_graph(
        [helper.make_node("Relu", ["x"], ["inner"])], "body", [],
        [helper.make_tensor_value_info("inner", FULL, None)],
    )  # fmt: skip
    node = helper.make_node("If", ["c"], ["y"], "choice", then_branch=body, else_branch=body)
    with pytest.raises(
        LcTrtError, match="node 'choice': half precision does not support the subgraphs of"
    ):
        run_passes(graph_of([node], {"c": np.asarray(True)}), [ToHalf()])


def test_operators_of_unknown_type_are_refused():
    node = helper.make_node("Mystery", ["x"], ["a"], "mystery", domain="elsewhere")
    model = graph_of([node, conv("a", "y")], {"w": weight()})
    model.opset_import.append(helper.make_opsetid("elsewhere", 1))
    with pytest.raises(LcTrtError, match="node 'mystery': the output type of Mystery could"):
        run_passes(model, [ToHalf()])
