"""Fixtures for tests of the compiler's graph."""

from __future__ import annotations

import pytest

from lc_trt.compiler.graph import Graph


@pytest.fixture
def encoded(monkeypatch: pytest.MonkeyPatch) -> list[Graph]:
    """The graphs that were encoded during the test."""
    graphs: list[Graph] = []
    encode = Graph.encode

    def record(graph: Graph) -> object:
        graphs.append(graph)
        return encode(graph)

    monkeypatch.setattr(Graph, "encode", record)
    return graphs
