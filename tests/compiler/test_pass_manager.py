"""Passes edit one graph in order and report their rewrites."""

from __future__ import annotations

import logging
from dataclasses import dataclass, field

import onnx
import pytest
from tiny_networks import tiny_model

from lc_trt.compiler.graph import Graph
from lc_trt.compiler.pass_manager import PassReport, apply_passes, run_passes


@dataclass
class Rename:
    """Renames all nodes of one type but the first."""

    op_type: str
    name: str = "rename"
    graphs: list[Graph] = field(default_factory=list)

    def apply(self, graph):
        self.graphs.append(graph)
        report = PassReport()
        first, *others = (n for n in graph.nodes if n.op_type == self.op_type)
        report.skip(first, "it is the first")
        for node in others:
            node.name = graph.unique("renamed")
            report.rewrites += 1
        return report


def test_passes_edit_one_graph_and_the_model_is_encoded_once(encoded):
    passes = [Rename("Relu"), Rename("Conv")]
    source = tiny_model()
    model = run_passes(source, passes)
    assert encoded == [*passes[0].graphs] == passes[1].graphs
    renamed = {n.op_type for n in model.graph.node if n.name.startswith("renamed")}
    assert renamed == {"Relu", "Conv"}
    assert not any(n.name.startswith("renamed") for n in source.graph.node)


def test_passes_log_rewrites_and_reasons(caplog):
    graph = Graph(tiny_model())
    relus = [n.name for n in graph.nodes if n.op_type == "Relu"]
    with caplog.at_level(logging.DEBUG, "lc_trt.compiler"):
        apply_passes(graph, [Rename("Relu")])
    reason, summary = caplog.records
    assert reason.levelno == logging.DEBUG
    assert reason.getMessage() == f"rename: node {relus[0]!r} (Relu) skipped: it is the first"
    assert summary.levelno == logging.INFO
    assert summary.getMessage().startswith(f"rename: {len(relus) - 1} rewritten, 1 skipped, ")


class Cut:
    """Removes all outputs but the first."""

    name = "cut"

    def apply(self, graph):
        graph.outputs = graph.outputs[:1]
        return PassReport(1)


@pytest.mark.parametrize("after", [[], [Rename("Conv")]])
def test_unread_nodes_are_removed_before_the_next_pass(after):
    graph = Graph(tiny_model())
    everything = len(graph.nodes)
    apply_passes(graph, [Cut(), *after])
    assert len(graph.nodes) < everything
    onnx.checker.check_model(graph.skeleton())
