"""All nodes that TensorRT's parser refuses, with TensorRT for RTX."""

from __future__ import annotations

from typing import Any

import numpy as np
import onnx
import pytest
from onnx import TensorProto, helper, numpy_helper
from parser_refusals import api, refusal

from lc_trt.errors import LcTrtError
from lc_trt.trt.api import TensorRT
from lc_trt.trt.parser import parse
from lc_trt.trt.parser_errors import MOST

__all__ = ["api"]

value, node = helper.make_tensor_value_info, helper.make_node


def network(nodes: list[onnx.NodeProto], outputs: str, **constants: Any) -> onnx.ModelProto:
    weights = [numpy_helper.from_array(array, name) for name, array in constants.items()]
    values = [value(name, 1, None) for name in outputs]
    graph = helper.make_graph(nodes, "g", [value("x", 1, [1, 3, 8, 8])], values, weights)
    opsets = [helper.make_opsetid("", 18), helper.make_opsetid("other", 1)]
    return helper.make_model(graph, opset_imports=opsets, ir_version=10)


def test_refused_nodes_and_their_readers_are_found(api: TensorRT) -> None:
    """Each kind: unknown operators, unsupported values, incompatible shapes."""
    model = network(
        [
            node("Conv", ["x", "w5"], ["a"], "narrow"),
            node("Relu", ["a"], ["b"], "fine"),
            node("Conv", ["b", "w5"], ["c"], "narrow too"),
            node("Reshape", ["x", "s"], ["d"], "volume"),
            node("Cast", ["x"], ["e"], "complex", to=TensorProto.COMPLEX64),
            node("Frobnicate", ["x"], ["f"], domain="other"),
            node("Frobnicate", ["x"], ["g"], "unknown", domain="other"),
        ],
        "cdfg",
        w5=np.zeros((4, 5, 3, 3), np.float32),
        s=np.array([7, 7], np.int64),
    )
    refused = refusal(api, model)
    assert [(name, operator) for name, operator, _ in refused] == [
        ("'narrow'", "Conv"),
        ("'narrow too'", "Conv"),
        ("'volume'", "Reshape"),
        ("'complex'", "Cast"),
        ("number 5", "Frobnicate"),
        ("'unknown'", "Frobnicate"),
    ]
    reasons = [reason for *_, reason in refused]
    assert "Kernel weight dimension" in reasons[0] and "changes volume" in reasons[2]
    assert "Unsupported data type" in reasons[3] and reasons[4] == reasons[5]


def test_readers_of_unknown_types_are_checked_by_operator(api: TensorRT) -> None:
    """The output of an unknown operator has no type, so its readers cannot be parsed."""
    model = network(
        [
            node("Frobnicate", ["x"], ["a"], "first", domain="other"),
            node("Twiddle", ["a"], ["b"], "second", domain="other"),
            node("Relu", ["b"], ["c"], "fine"),
        ],
        "c",
    )
    assert [(name, operator) for name, operator, _ in refusal(api, model)] == [
        ("'first'", "Frobnicate"),
        ("'second'", "Twiddle"),
    ]


def test_the_number_of_attempts_is_bounded(api: TensorRT) -> None:
    count = MOST + 2  # each attempt finds one
    nodes = [node("Reshape", ["x", "s"], [f"y{i}"], f"r{i}") for i in range(count)]
    model = network(nodes, "x", s=np.array([7, 7], np.int64))
    del model.graph.output[:]
    model.graph.output.extend(value(f"y{i}", 1, None) for i in range(count))
    with api.messages() as messages, pytest.raises(LcTrtError) as caught:
        parse(api, api.module.Builder(api.logger), model, "m", messages)
    text = str(caught.value)
    assert f"'r{MOST - 1}' (Reshape)" in text and f"'r{MOST}'" not in text
    assert text.endswith(f"and perhaps more: the rest was not parsed after {MOST} times")
