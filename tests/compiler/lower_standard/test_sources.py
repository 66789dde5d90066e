"""Which rows a region operator reads."""

from __future__ import annotations

import numpy as np
import onnx
import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st
from pass_cases import frozen
from tiny_networks import tiny_encoder_model

from lc_trt.compiler.graph import Graph
from lc_trt.compiler.lower_standard import LowerStandard
from lc_trt.compiler.lower_standard.sources import parent_positions
from lc_trt.compiler.pass_manager import apply_passes
from lc_trt.errors import LcTrtError
from lc_trt.ir.node_view import NodeView
from lc_trt.model.region import repeat_children


@given(n=st.integers(1, 2), h=st.integers(1, 9), w=st.integers(1, 9))
def test_positions_of_parents(n: int, h: int, w: int) -> None:
    size = (n, -(-h // 2), -(-w // 2))
    found = parent_positions(size, np.arange(h) // 2, np.arange(w) // 2)
    numbers = torch.arange(1, int(np.prod(size)) + 1).reshape(n, 1, *size[1:])
    assert found.tolist() == repeat_children(numbers, (h, w)).flatten().tolist()


@pytest.fixture
def graph() -> Graph:
    return Graph(frozen(tiny_encoder_model()))


def node_named(graph: Graph, name: str) -> onnx.NodeProto:
    return next(node for node in graph.nodes if node.name == name)


def test_a_convolution_of_other_rows_is_refused(graph: Graph) -> None:
    conv = node_named(graph, "stage2/spatial1/conv")
    index = NodeView(conv).input("index")
    graph.constants[index] = graph.constants[index][:, ::-1]
    with pytest.raises(LcTrtError, match=r"'stage2/spatial[01]/conv': its index .* 140 cells"):
        apply_passes(graph, [LowerStandard()])


def test_rows_of_another_region_are_refused(graph: Graph) -> None:
    restrict = NodeView(node_named(graph, "head3/parent"))
    restrict.set_input("index", "stages/reached")
    with pytest.raises(LcTrtError, match="'head3/parent': its index 'stages/reached' is neither"):
        apply_passes(graph, [LowerStandard()])
