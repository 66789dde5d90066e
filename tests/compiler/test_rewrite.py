"""Rewrite rules: pattern, check and rewrite."""

from __future__ import annotations

import numpy as np
import onnx
from onnx import TensorProto, helper
from tiny_networks import session

from lc_trt.compiler.graph import Graph
from lc_trt.compiler.pass_manager import apply_passes
from lc_trt.compiler.rewrite import RewriteRule


class ReluAsMax(RewriteRule):
    """``relu(x)`` is ``max(x, 0)``, unless it is an output of the model."""

    name = "relu_as_max"

    def pattern(self, node):
        return node.op_type == "Relu"

    def check(self, graph, edges, node):
        if any(o.name in node.output for o in graph.outputs):
            return "it is an output"
        return None

    def rewrite(self, graph, edges, node):
        zero = graph.constant(f"{node.name}/zero", 0, np.float32)
        return [graph.make("Max", [*node.input, zero], f"{node.name}/max", outputs=node.output)]


def model_of(*nodes):
    values = [helper.make_tensor_value_info(name, TensorProto.FLOAT, [4]) for name in "xy"]
    graph = helper.make_graph(nodes, "g", values[:1], values[1:])
    return helper.make_model(graph, opset_imports=[helper.make_opsetid("", 18)], ir_version=10)


def test_a_rule_rewrites_nodes_that_pass_its_check():
    model = model_of(
        helper.make_node("Relu", ["x"], ["a"], "first"),
        helper.make_node("Neg", ["a"], ["b"], "neg"),
        helper.make_node("Relu", ["b"], ["y"], "last"),
    )
    graph = Graph(model)
    report = ReluAsMax().apply(graph)
    assert report.rewrites == 1
    assert report.skipped == [("last", "Relu", "it is an output")]
    assert [n.op_type for n in graph.nodes] == ["Max", "Neg", "Relu"]
    assert graph.expanded == {"first": "Relu"}
    x = np.array([-2, -1, 1, 2], np.float32)
    expected, found = (session(m).run(None, {"x": x})[0] for m in (model, graph.encode()))
    np.testing.assert_array_equal(found, expected)


def test_a_rule_without_matches_changes_nothing():
    model = model_of(helper.make_node("Neg", ["x"], ["y"], "neg"))
    graph = Graph(model)
    apply_passes(graph, [ReluAsMax()])
    assert graph.encode() == model
    onnx.checker.check_model(graph.encode())
