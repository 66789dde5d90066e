"""ArgMax over classes as maxima."""

from __future__ import annotations

import numpy as np
import pytest
from onnx import TensorProto, helper
from pass_cases import assert_same, frozen, graph_of, operators, reasons
from tiny_networks import session, tiny_model

from lc_trt.compiler.pass_manager import run_passes
from lc_trt.compiler.passes.argmax_as_max import ArgMaxAsMax


@pytest.mark.parametrize("classes", [2, 21])
def test_ties_go_to_the_first_class(classes):
    node = helper.make_node("ArgMax", ["x"], ["y"], name="best", axis=1, keepdims=0)
    graph = helper.make_graph(
        [node],
        "g",
        [helper.make_tensor_value_info("x", TensorProto.FLOAT, [2, classes, 9, 11])],
        [helper.make_tensor_value_info("y", TensorProto.INT64, [2, 9, 11])],
    )
    model = helper.make_model(graph, opset_imports=[helper.make_opsetid("", 18)], ir_version=10)
    changed = run_passes(model, [ArgMaxAsMax()])
    assert "ArgMax" not in operators(changed)
    x = np.random.default_rng(0).integers(-3, 3, (2, classes, 9, 11)).astype(np.float32)
    (found,) = session(changed).run(None, {"x": x})
    np.testing.assert_array_equal(found, x.argmax(1))
    x[:, :, 0] = np.nan  # no class is right, but it has to be one
    assert session(changed).run(None, {"x": x})[0].max() < classes


def test_other_forms_of_argmax_are_left():
    source = tiny_model()  # its map has no fixed size yet
    assert operators(run_passes(source, [ArgMaxAsMax()])) == operators(source)
    assert_same(source, run_passes(frozen(source), [ArgMaxAsMax()]))


def argmax(x=(2, 5, 3, 3), **attributes):
    node = helper.make_node(
        "ArgMax", ["x"], ["y"], "best", **{"axis": 1, "keepdims": 0, **attributes}
    )
    return graph_of([node], x=x, y=["?"] * 3, kinds=(TensorProto.FLOAT, TensorProto.INT64))


@pytest.mark.parametrize(
    ("model", "reason"),
    [
        (argmax(axis=2), "it is over axis 2, not over classes"),
        (argmax(keepdims=1), "it keeps the axis"),
        (argmax(select_last_index=1), "it takes the last of equal classes"),
        (argmax(x=(2, "classes", 3, 3)), "its input is not known to be a map of fixed size"),
        (argmax(x=(2, 5, 3)), "its input is not known to be a map of fixed size"),
    ],
)
def test_argmax_that_is_left_has_a_reason(model, reason):
    assert reasons(model, ArgMaxAsMax()) == {"best": reason}
