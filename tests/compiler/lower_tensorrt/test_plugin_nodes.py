"""Plugin nodes have all attributes explicitly."""

from __future__ import annotations

from onnx import numpy_helper
from region_graphs import CHANNELS, region_graph, residual_block, views

from lc_trt.compiler.lower_tensorrt import lower_tensorrt
from lc_trt.compiler.pass_manager import run_passes
from lc_trt.ir.interface import DOMAIN
from lc_trt.ir.operator_schema import Form
from lc_trt.ir.region_ops import OPERATORS


def lowered():
    return run_passes(
        region_graph(lambda b: (b.pool(residual_block(b)[0]), CHANNELS)), lower_tensorrt()
    )


def test_each_plugin_has_all_of_its_attributes_and_its_name():
    regions = [n for n in lowered().graph.node if n.domain == DOMAIN]
    assert len(regions) == 7
    for node in regions:
        own = {a.name: a for a in node.attribute}
        assert own.pop("plugin_version").s == b"1"
        assert own.pop("plugin_namespace").s == b"lc_trt"
        schema = OPERATORS[node.op_type].attributes_of(Form.parse(node.overload))
        assert set(own) == {attribute.name for attribute in schema}


def test_weights_are_channels_last_and_say_so():
    model = lowered()
    weights = {t.name: numpy_helper.to_array(t) for t in model.graph.initializer}
    convs = views(model, "RegionConv")
    assert {conv.attribute("weight_layout") for conv in convs} == {1}
    (windowed,) = [conv for conv in convs if list(conv.attribute("kernel_shape")) == [3, 3]]
    assert weights[windowed.input("weight")].shape == (4, 3, 3, 5)  # OHWI


def test_there_is_a_function_for_each_form():
    model = lowered()
    called = {(n.domain, n.op_type, n.overload) for n in model.graph.node if n.domain == DOMAIN}
    assert {(f.domain, f.name, f.overload) for f in model.functions} == called
