"""The graph builder's names, shared constants and functions."""

from __future__ import annotations

from dataclasses import astuple

import numpy as np
import onnx
import pytest
from onnx import TensorProto, helper
from tiny_networks import session

from lc_trt.ir.builder import GraphBuilder, image_input, labels_output, map_output, rho_input
from lc_trt.ir.interface import DOMAIN, IR_VERSION, OPSET, VERSION
from lc_trt.ir.region_ops import REGION_GATHER, REGION_SCATTER


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


@pytest.mark.parametrize("rho", [0.0, 0.5, 1.0])
def test_a_built_region_runs(rho):
    """Pixels under the threshold are gathered, negated and scattered over the map."""
    g = GraphBuilder()
    region = g.select("confidence", "active", "rho")
    rows = g.region(REGION_GATHER, region=region, x="x")
    negated = g.op("Neg", rows)
    g.region(REGION_SCATTER, region=region, x=negated, base="x", output="y")
    shape = (2, 3, 5, 7)
    one = (shape[0], 1, *shape[2:])
    model = g.model(
        [
            helper.make_tensor_value_info("x", TensorProto.FLOAT, shape),
            helper.make_tensor_value_info("confidence", TensorProto.FLOAT, one),
            helper.make_tensor_value_info("active", TensorProto.BOOL, one),
            helper.make_tensor_value_info("rho", TensorProto.FLOAT, []),
        ],
        [helper.make_tensor_value_info("y", TensorProto.FLOAT, shape)],
        "g",
    )
    onnx.checker.check_model(model, full_check=True)
    # The functions of what it uses, and no others.
    assert {f.name for f in model.functions} == {"RegionSelect", "RegionGather", "RegionScatter"}
    rng = np.random.default_rng(0)
    x = rng.random(shape, np.float32)
    confidence, active = rng.random(one, np.float32), rng.random(one) < 0.8
    feed = {"x": x, "confidence": confidence, "active": active, "rho": np.array(rho, np.float32)}
    (found,) = session(model).run(None, feed)
    chosen = active & (confidence <= rho)
    assert chosen.mean() == pytest.approx(0.8 * rho, abs=0.1)
    np.testing.assert_array_equal(found, np.where(chosen, -x, x))


def test_inputs_and_outputs_share_their_free_dimensions():
    def dimensions(info: onnx.ValueInfoProto) -> list[str | int]:
        return [d.dim_param or d.dim_value for d in info.type.tensor_type.shape.dim]

    batch, height, width, channels = dimensions(image_input())
    assert channels == 3 and dimensions(rho_input()) == [2]
    assert dimensions(labels_output()) == [batch, height, width]
    cells = dimensions(map_output("stages", TensorProto.UINT8))
    assert cells[0] == batch and len({batch, height, width, *cells[1:]}) == 5
