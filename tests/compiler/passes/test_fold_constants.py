"""Nodes that do not depend on an input are folded."""

from __future__ import annotations

import numpy as np
import pytest
from onnx import helper
from pass_cases import FORMS, SIZE, assert_same, frozen, graph_of, operators, reasons
from tiny_networks import session, tiny_model

from lc_trt.compiler.pass_manager import run_passes
from lc_trt.compiler.passes.fold_constants import FoldConstants


@pytest.fixture(scope="module", params=FORMS, ids="-".join)
def source(request):
    return tiny_model(*request.param)


def test_freezing_fixes_the_shapes_and_folds_what_follows(source):
    model = frozen(source)
    assert_same(source, model)
    shapes = {
        v.name: [d.dim_value for d in v.type.tensor_type.shape.dim]
        for v in (*model.graph.input, *model.graph.output)
    }
    assert shapes["image"] == [2, *SIZE, 3]
    assert shapes["labels"] == [2, *SIZE]
    assert "Shape" not in operators(model)


def folded(model):
    return run_passes(model, [FoldConstants()])


def test_a_chain_of_constants_becomes_one():
    nodes = [
        helper.make_node("Shape", ["x"], ["size"], "shape", start=1, end=3),
        helper.make_node("Mul", ["size", "two"], ["doubled"], "double"),
        helper.make_node("ConstantOfShape", ["doubled"], ["zeros"], "zeros"),
        helper.make_node("ReduceSum", ["zeros"], ["sum"], "sum"),
        helper.make_node("Add", ["x", "sum"], ["y"], "add"),
    ]
    model = graph_of(nodes, {"two": np.int64(2)})
    assert operators(folded(model)) == {"Add"}
    x = {"x": np.ones((1, 2, 3, 3), np.float32)}
    np.testing.assert_array_equal(*(session(m).run(None, x)[0] for m in (model, folded(model))))


def test_symbolic_shapes_are_not_folded():
    nodes = [
        helper.make_node("Shape", ["x"], ["size"], "shape"),
        helper.make_node("Reshape", ["x", "size"], ["y"], "reshape"),
    ]
    model = graph_of(nodes, x=["n", 2, 3, 3])
    assert operators(folded(model)) == {"Shape", "Reshape"}


def test_known_sizes_of_a_symbolic_shape_are_folded():
    nodes = [
        helper.make_node("Shape", ["x"], ["channels"], "channels", start=1, end=2),
        helper.make_node("Concat", ["one", "channels", "rest"], ["shape"], "shape", axis=0),
        helper.make_node("Reshape", ["x", "shape"], ["y"], "reshape"),
    ]
    constants = {"one": np.array([1]), "rest": np.array([-1, 1])}
    model = graph_of(nodes, constants, ("n", 2, 3, 3), (1, 2, None, 1))
    assert operators(folded(model)) == {"Reshape"}


def test_sizes_that_folding_makes_known_are_folded():
    nodes = [
        helper.make_node("Shape", ["x"], ["size"], "size"),
        helper.make_node("Slice", ["x", "starts", "size"], ["whole"], "whole"),
        helper.make_node("Shape", ["whole"], ["again"], "again"),
        helper.make_node("Reshape", ["whole", "again"], ["y"], "reshape"),
    ]
    model = graph_of(nodes, {"starts": np.zeros(4, np.int64)})
    assert operators(folded(model)) == {"Slice", "Reshape"}


@pytest.mark.parametrize(
    ("node", "constants", "reason"),
    [
        (helper.make_node("Identity", ["c"], ["y"], "n"), {"c": np.float32(1)}, "is an output"),
        (
            helper.make_node("DequantizeLinear", ["c", "s"], ["a"], "n"),
            {"c": np.int8([1]), "s": np.float32(1)},
            "its integers are to be stored",
        ),
        (helper.make_node("RandomNormal", [], ["a"], "n", shape=[1]), {}, "it is random"),
        (
            helper.make_node("ConstantOfShape", ["c"], ["a"], "n"),
            {"c": np.int64([1 << 14, 1 << 14])},
            "has 268435456 elements, over 67108864",
        ),
        (
            helper.make_node("Split", ["c"], ["a", "b"], "n", num_outputs=2),
            {"c": np.float32([1, 2])},
            "has several outputs",
        ),
    ],
    ids=["output", "dequantize", "random", "large", "several outputs"],
)
def test_constants_that_are_not_folded_have_a_reason(node, constants, reason):
    model = graph_of([node, helper.make_node("Identity", ["x"], ["z"], "other")], constants)
    found = reasons(model, FoldConstants())
    assert list(found) == ["n"] and reason in found["n"]
