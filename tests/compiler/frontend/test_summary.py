"""`lc-trt inspect`'s figures against PyTorch's count of the same network, and any other ONNX."""

from __future__ import annotations

import json
from collections import Counter

import onnx
from onnx import TensorProto, helper
from tiny_networks import INFO, tiny_cascade, tiny_model

from lc_trt.compiler.frontend.summary import summarise
from lc_trt.model.layers import BatchNorm


def test_a_cascade_by_stage() -> None:
    model = tiny_model()
    summary = summarise(model)
    assert (summary.kind, summary.info, summary.size) == ("cascade", INFO, INFO.size)
    assert {i.name: i.dtype for i in summary.inputs} == {"image": "uint8", "rho": "float"}
    assert [o.name for o in summary.outputs] == ["labels", "stages", "confidence"]
    occurring = Counter(node.op_type for node in model.graph.node)
    counted = sum((Counter(part) for part in summary.operators.values()), Counter())
    assert counted == occurring
    assert {"stage1", "stage2", "stage3", "head1"} <= set(summary.operators)
    assert json.loads(json.dumps(summary.as_dict()))["parameters"] == summary.parameters


def test_parameters_are_those_of_the_network() -> None:
    network = tiny_cascade()
    weights = sum(p.numel() for p in network.parameters())
    statistics = sum(
        m.running_mean.numel() + m.running_var.numel()
        for m in network.modules()
        if isinstance(m, BatchNorm)
    )
    # The exporter adds constants: normalisation, scales, a bias of zeros per region convolution.
    assert 1 <= summarise(tiny_model()).parameters / (weights + statistics) < 1.01


def test_the_cost_grows_with_the_size() -> None:
    small, large = (summarise(tiny_model(), size).macs for size in ((48, 72), (96, 144)))
    assert small is not None and large is not None
    for part, macs in small.items():
        assert abs(large[part] / macs - 4) < 0.02, part


def test_another_onnx_has_no_cost() -> None:
    x = helper.make_tensor_value_info("x", TensorProto.FLOAT, ["N", 3])
    y = helper.make_tensor_value_info("y", TensorProto.FLOAT, ["N", 3])
    graph = helper.make_graph([helper.make_node("Relu", ["x"], ["y"])], "g", [x], [y])
    model: onnx.ModelProto = helper.make_model(graph, opset_imports=[helper.make_opsetid("", 18)])
    summary = summarise(model)
    assert (summary.kind, summary.info, summary.macs) == ("onnx", None, None)
    assert summary.inputs[0].shape == ("N", 3) and summary.operators == {"graph": {"Relu": 1}}
