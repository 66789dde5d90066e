"""Inputs and attributes by name, from our schema or from that of ONNX."""

from __future__ import annotations

import pytest
from onnx import helper

from lc_trt.ir.interface import DOMAIN
from lc_trt.ir.node_view import NodeView
from lc_trt.ir.operator_schema import EXCHANGE, Form, OutputType, Region
from lc_trt.ir.region_ops import REGION_CONV, REGION_SELECT

REGION = Region("rows", "index", "count", "hard")


def conv(form, *x, **more):
    channels = {"channel_begin": [0] * len(x), "channel_end": [4] * len(x)}
    scale = {"scale": "s"} if form.output else {}
    return REGION_CONV.node(
        "n", ["y"], form=form, region=REGION, x=x, weight="w", bias="b", residual="r", **scale,
        kernel_shape=[1, 1], dilations=[1, 1], **(channels if form.segments else {}), **more,
    )  # fmt: skip


@pytest.mark.parametrize(
    ("form", "x"),
    [
        (EXCHANGE, ("x",)),
        (Form(1), ("x",)),
        (Form(3), ("x", "x2", "x3")),
        (Form(1, OutputType.INT8), ("x",)),
        (Form(2, OutputType.FP16), ("x", "x2")),
    ],
)
def test_a_convolution_is_read_alike_in_every_form(form, x):
    view = NodeView(conv(form, *x))
    assert view.inputs("x") == list(x)
    named = ("rows", "index", "count", "weight", "bias", "residual")
    assert [view.input(name) for name in named] == ["rows", "index", "count", "w", "b", "r"]
    assert [name for name, _ in view.named_inputs()][: len(x)] == ["x"] * len(x)
    assert view.output("y") == "y"
    if form.output:
        assert view.input("scale") == "s"
    else:
        with pytest.raises(ValueError, match="has no 'scale'"):
            view.input("scale")


def test_inputs_are_set_by_name():
    node = conv(Form(2), "a", "b")
    view = NodeView(node)
    view.set_input("weight", "other")
    view.set_inputs("x", ["c", "d"])
    view.set_output("y", "z")
    assert list(node.input) == ["c", "d", "rows", "index", "count", "other", "b", "r"]
    assert list(node.output) == ["z"]
    with pytest.raises(ValueError, match="3 of 'x'"):
        view.set_inputs("x", ["c", "d", "e"])
    with pytest.raises(ValueError, match="2 of 'x', expected one"):
        view.input("x")


def test_attributes_have_their_defaults_filled_in():
    node = conv(Form(1), "x", activation=1)
    view = NodeView(node)
    assert view.attribute("activation") == 1
    assert view.attribute("residual_scale") == 1.0
    assert view.attribute("weight_layout") == 0
    assert view.attributes()["output_type"] == 0
    view.set_attribute("weight_layout", 1)
    view.set_attribute("activation", 0)
    assert (view.attribute("weight_layout"), view.attribute("activation")) == (1, 0)
    assert [a.name for a in node.attribute].count("activation") == 1
    with pytest.raises(ValueError, match="no attribute 'scale'"):
        view.attribute("scale")


def test_outputs_have_names():
    select = REGION_SELECT.node("n", ["a", "b", "c", "d"], confidence="p", active="t", rho="r")
    view = NodeView(select)
    assert [view.output(n) for n in ("rows", "index", "count", "hard")] == ["a", "b", "c", "d"]


def test_standard_operators_have_the_names_of_onnx():
    resize = helper.make_node("Resize", ["x", "", "s"], ["y"])
    view = NodeView(resize)
    assert (view.input("X"), view.input("roi"), view.input("scales")) == ("x", "", "s")
    assert view.input("sizes") == ""
    assert view.inputs("roi") == []
    assert list(view.named_inputs()) == [("X", "x"), ("scales", "s")]
    view.set_input("sizes", "t")
    assert list(resize.input) == ["x", "", "s", "t"]
    assert view.attribute("mode") == b"nearest"
    split = NodeView(helper.make_node("Split", ["x", "sizes"], ["a", "b"], axis=1))
    assert split.input("split") == "sizes" and split.attribute("axis") == 1
    concat = NodeView(helper.make_node("Concat", ["a", "b", "c"], ["y"], axis=1))
    assert concat.inputs("inputs") == ["a", "b", "c"]


@pytest.mark.parametrize(("domain", "op_type"), [(DOMAIN, "RegionDance"), ("vendor", "Conv")])
def test_operators_without_a_schema_are_refused(domain, op_type):
    with pytest.raises(ValueError, match=op_type):
        NodeView(helper.make_node(op_type, ["x"], ["y"], domain=domain))
