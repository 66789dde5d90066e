"""Nodes and constants get names that are free."""

from __future__ import annotations

import numpy as np
from region_graphs import region_graph, residual_block

from lc_trt.compiler.graph import Graph
from lc_trt.compiler.lower_standard.builder import Builder


def test_names_that_are_taken_are_numbered() -> None:
    graph = Graph(region_graph(residual_block))
    builder = Builder(graph)
    taken = {node.name for node in graph.nodes} | set(graph.constants)
    first, second = (builder.add("Relu", "x", name="size") for _ in range(2))
    constant = builder.const("weight", [1, 2], "int64")
    assert len({first, second, constant} - taken) == 3
    assert [node.output[0] for node in builder.nodes] == [first, second]
    np.testing.assert_array_equal(builder.constants[constant], np.array([1, 2], np.int64))


def test_a_named_output_is_made_by_the_node() -> None:
    builder = Builder(Graph(region_graph(residual_block)))
    assert builder.add("Relu", "x", name="last", output="y") == "y"
    assert builder.nodes[-1].name == "last" and builder.nodes[-1].op_type == "Relu"
