"""The graph builder's names, shared constants and functions."""

from __future__ import annotations

from dataclasses import astuple

import numpy as np
import onnx
import pytest
from onnx import TensorProto, helper

from lc_trt.ir.builder import GraphBuilder
from lc_trt.ir.interface import DOMAIN, IR_VERSION, OPSET, VERSION
from lc_trt.ir.region_ops import REGION_GATHER


def test_names_are_paths_and_numbered_from_the_second_on():
    b = GraphBuilder()
    with b.path("stage2"), b.path("0"):
        names = [b.op("Relu", "x"), b.op("Relu", "x"), b.weight("w", np.zeros(1, np.float32))]
    assert names == ["stage2/0/relu", "stage2/0/relu_2", "stage2/0/w"]
    assert b.op("Relu", "x", name="last", output="y") == "y"
    assert [node.name for node in b.nodes][-1] == "last"


def test_equal_constants_are_stored_once():
    b = GraphBuilder()
    same = {b.constant([1, 2], np.int64) for _ in range(2)}
    others = {b.constant([1, 2], np.int32), b.constant([[1, 2]], np.int64), b.constant(1, np.int64)}
    assert len(same) == 1 and len(others - same) == 3
    assert len(b.initializers) == 4


@pytest.mark.parametrize("regions", [True, False])
def test_a_model_has_the_functions_that_it_calls_and_no_others(regions):
    b = GraphBuilder()
    region = b.select("confidence", "active", "rho")
    assert [list(node.output) for node in b.nodes] == [list(astuple(region))]
    if regions:
        b.region(REGION_GATHER, output="y", region=region, x="x")
    else:
        b.nodes.clear()
        b.op("Relu", "x", output="y")
    info = helper.make_tensor_value_info
    inputs = [
        info("x", TensorProto.FLOAT, ["n", 3, "h", "w"]),
        info("confidence", TensorProto.FLOAT, ["n", 1, "h", "w"]),
        info("active", TensorProto.BOOL, ["n", 1, "h", "w"]),
        info("rho", TensorProto.FLOAT, []),
    ]
    shape = ["r", 3] if regions else ["n", 3, "h", "w"]
    model = b.model(inputs, [info("y", TensorProto.FLOAT, shape)], "graph")
    onnx.checker.check_model(model)
    assert {f.name for f in model.functions} == (
        {"RegionSelect", "RegionGather"} if regions else set()
    )
    opsets = {o.domain: o.version for o in model.opset_import}
    assert opsets == {"": OPSET} | ({DOMAIN: VERSION} if regions else {})
    assert model.ir_version == IR_VERSION
