"""Functions of foreign exporters are inlined."""

from __future__ import annotations

import numpy as np
from onnx import helper
from pass_cases import graph_of, operators, report_of
from tiny_networks import session

from lc_trt.compiler.graph import Graph
from lc_trt.compiler.pass_manager import apply_passes, run_passes
from lc_trt.compiler.passes.fold_constants import FoldConstants
from lc_trt.compiler.passes.inline_functions import InlineFunctions


def calling(times):
    """``y`` = (``x`` + ``shift``) * 3 by a function, applied repeatedly."""
    body = [
        helper.make_node("Add", ["a", "b"], ["sum"]),
        helper.make_node("Constant", [], ["three"], value_float=3.0),
        helper.make_node("Mul", ["sum", "three"], ["c"]),
    ]
    opsets = [helper.make_opsetid("", 18)]
    function = helper.make_function("local", "Shift", ["a", "b"], ["c"], body, opsets)
    names = ["x", *(f"sum{i}" for i in range(1, times)), "y"]
    calls = [
        helper.make_node("Shift", [names[i], "shift"], [names[i + 1]], f"n{i}", domain="local")
        for i in range(times)
    ]
    shift = np.random.default_rng(0).normal(size=(1, 2, 64, 3)).astype(np.float32)  # a large one
    model = graph_of(calls, {"shift": shift}, x=(1, 2, 64, 3))
    model.functions.append(function)
    model.opset_import.append(helper.make_opsetid("local", 1))
    return model


def test_calls_are_replaced_by_the_body():
    model = calling(2)
    inlined = run_passes(model, [InlineFunctions(), FoldConstants()])
    assert operators(inlined) == {"Add", "Mul"} and not inlined.functions
    x = {"x": np.ones((1, 2, 64, 3), np.float32)}
    np.testing.assert_array_equal(*(session(m).run(None, x)[0] for m in (model, inlined)))
    assert report_of(model, InlineFunctions()).rewrites == 2


def test_names_of_inlined_nodes_are_unique():
    graph = Graph(calling(1))
    apply_passes(graph, [InlineFunctions()])
    names = {name for node in graph.nodes for name in node.output}
    assert names.isdisjoint(graph.unique(name) for name in names)
    assert len(graph.constants["shift"].shape) == 4


def test_without_functions_nothing_happens():
    model = graph_of([helper.make_node("Relu", ["x"], ["y"], "relu")])
    assert run_passes(model, [InlineFunctions()]) == model
