"""The schema creates nodes by name and refuses wrong arguments."""

from __future__ import annotations

import pytest

from lc_trt.ir.interface import DOMAIN
from lc_trt.ir.operator_schema import EXCHANGE, Form, OutputType, Region, is_region
from lc_trt.ir.plugin_functions import plugin_function
from lc_trt.ir.region_ops import (
    OPERATORS,
    REGION_CONV,
    REGION_GATHER,
    REGION_QUANTIZE,
    REGION_RESTRICT,
)

REGION = Region("rows", "index", "count", "hard")
WINDOW = {"kernel_shape": [3, 1], "dilations": [2, 1]}
CONV = {"x": "x", "weight": "w", "bias": "b", "residual": "r", **WINDOW}
FORMS = [
    EXCHANGE,
    *(Form(n) for n in (1, 8)),
    *(Form(n, output) for n in (1, 8) for output in OutputType),
]


def names(operator, form=EXCHANGE):
    """Arguments for every input and required attribute."""
    segments = form.segments or 1
    inputs = {t.name: t.name for t in operator.inputs_of(form)}
    if operator is REGION_CONV:
        inputs["x"] = ["x"] if form is EXCHANGE else [f"x_{i}" for i in range(segments)]
    values = {"int": 1, "float": 0.5, "ints": [1, 1]}
    attributes = {a.name: values[a.kind] for a in operator.attributes_of(form) if not a.has_default}
    for name in attributes.keys() & {"channel_begin", "channel_end"}:
        attributes[name] = [4] * segments
    return inputs, attributes


@pytest.mark.parametrize("operator", OPERATORS.values(), ids=lambda o: o.name)
def test_a_node_has_the_inputs_of_its_function_in_order(operator):
    inputs, attributes = names(operator)
    node = operator.node("n", [t.name for t in operator.outputs], **inputs, **attributes)
    function = plugin_function(operator, EXCHANGE)
    assert list(node.input) == list(function.input)
    assert list(node.output) == list(function.output)
    assert {a.name for a in node.attribute} == set(function.attribute)
    assert is_region(node, operator) and node.domain == DOMAIN


@pytest.mark.parametrize("form", FORMS, ids=lambda f: f.overload or "exchange")
def test_every_form_of_a_convolution_has_a_function_and_a_name_of_its_own(form):
    inputs, attributes = names(REGION_CONV, form)
    node = REGION_CONV.node("n", ["y"], form=form, **inputs, **attributes)
    function = plugin_function(REGION_CONV, form)
    assert list(node.input) == list(function.input)
    assert node.overload == function.overload == form.overload
    assert Form.parse(node.overload) == form
    assert {a.name for a in function.attribute_proto} == {
        a.name for a in REGION_CONV.attributes_of(form) if a.has_default
    }
    assert len({f.overload for f in FORMS}) == len(FORMS)


@pytest.mark.parametrize("overload", ["segments9", "segments1_fp16", "int8", "int8_segments1_fp64"])
def test_unknown_overloads_are_refused(overload):
    with pytest.raises(ValueError, match=overload):
        Form.parse(overload)


def test_a_region_provides_the_inputs_of_an_operator():
    gather = REGION_GATHER.node("n", ["y"], region=REGION, x="x")
    assert list(gather.input) == ["x", "rows", "count"]
    # What is named goes first: the index is the larger region's.
    restrict = REGION_RESTRICT.node("n", ["y"], region=REGION, x="x", index="outer")
    assert list(restrict.input) == ["x", "outer", "rows", "count"]


@pytest.mark.parametrize(
    ("change", "message"),
    [
        ({"weight": None}, "no input 'weight'"),
        ({"x": ["a", "b"]}, "2 of 'x', expected 1"),
        ({"scale": "s"}, "has no 'scale'"),
        ({"weight_layout": 1}, "has no 'weight_layout'"),  # the exchange format has one layout
        ({"kernel_shape": None}, "kernel_shape is None"),
        ({"kernel_shape": [3]}, "kernel_shape is"),
        ({"activation": 2}, "activation is 2"),
        ({"residual_scale": "1"}, "residual_scale is '1'"),
        ({"rho": "rho"}, "has no 'rho'"),
    ],
)
def test_wrong_arguments_are_refused_by_name(change, message):
    with pytest.raises(ValueError, match=message):
        REGION_CONV.node("n", ["y"], region=REGION, **{**CONV, **change})


def test_missing_attributes_and_outputs_are_refused():
    with pytest.raises(ValueError, match="no attribute 'scale'"):
        REGION_QUANTIZE.node("n", ["y"], region=REGION, x="x")
    with pytest.raises(ValueError, match="has 1 outputs, not 2"):
        REGION_CONV.node("n", ["y", "z"], region=REGION, **CONV)
