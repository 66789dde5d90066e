"""The C++ plugins have the inputs, outputs, types, attributes and defaults of `ir.region_ops`.

What stands in their sources needs no compiler; how they behave is asked of the compiled objects.
"""

from __future__ import annotations

import re

import numpy as np
import pytest
from onnx import TensorProto, helper
from plugin_harness import (
    BF16,
    BOOL,
    FLOAT,
    HALF,
    HWC8,
    HWC16,
    INT8,
    INT32,
    LINEAR,
    HarnessError,
    tensor,
)

from lc_trt.ir.interface import DOMAIN, VERSION
from lc_trt.ir.operator_schema import EXCHANGE, MAX_SEGMENTS, Form, OutputType
from lc_trt.ir.plugin_functions import plugin_function
from lc_trt.ir.region_ops import OPERATORS, REGION_CONV, REGION_GATHER

KINDS = {
    TensorProto.FLOAT: FLOAT, TensorProto.FLOAT16: HALF, TensorProto.BFLOAT16: BF16,
    TensorProto.INT8: INT8, TensorProto.INT32: INT32, TensorProto.BOOL: BOOL,
}  # fmt: skip
FIELD_TYPES = {"float": 1, "int": 5, "ints": 5}
SIZES = {
    "N": 2, "C": 16, "H": 6, "W": 8, "R": 96, "P": 80, "Cin": 16, "Cout": 24, "kh": 3, "kw": 3,
}  # fmt: skip
# What a plugin needs; the rest has defaults.
REQUIRED = {"kernel_shape": [3, 3], "dilations": [1, 1], "scale": 0.5}
FORMS = [
    *((operator, EXCHANGE) for operator in OPERATORS.values()),
    *((REGION_CONV, Form(1, output)) for output in OutputType),
]
each_form = pytest.mark.parametrize(
    ("operator", "form"), FORMS, ids=lambda v: getattr(v, "name", None) or v.overload or "exchange"
)


def required(operator):
    return {a.name: REQUIRED[a.name] for a in operator.attributes if a.default is None}


def plugin_of(harness, operator, form):
    chosen = {} if form.output is None else {"output_type": form.output.number}
    return harness.plugin(operator.name, required(operator) | chosen)


def all_tensors(operator, form):
    return (*operator.inputs_of(form), *operator.outputs)


def shape_of(tensor_schema):
    symbols = [s for s in tensor_schema.shape.strip("[]").split(", ") if s]
    return tuple(SIZES.get(symbol) or int(symbol) for symbol in symbols)


def allowed(tensor_schema, form, chosen):
    """TensorRT's numbers of the types that a tensor may have beside those `chosen`."""
    types = tensor_schema.types if form.output is None else tensor_schema.int8
    types = types or tensor_schema.types
    if types.by is not None:
        names = {OutputType.FP32: FLOAT, OutputType.FP16: HALF, OutputType.BF16: BF16}
        return {names.get(form.output, INT8)}
    same = {chosen[types.same_as]} if types.same_as else set()
    return same | {KINDS[kind] for kind in types.allowed}


def described(operator, form, first):
    """Every tensor in the first type that the schema allows it; the very first in `first`."""
    chosen = {}
    for each in all_tensors(operator, form):
        kinds = allowed(each, form, chosen)
        chosen[each.name] = first if not chosen else first if first in kinds else min(kinds)
    return [tensor(chosen[t.name], *shape_of(t)) for t in all_tensors(operator, form)], chosen


def first_types(operator, form):
    return sorted(allowed(operator.inputs[0], form, {}))


@each_form
def test_types_and_shapes_of_outputs(emulated_plugins, operator, form):
    for first in first_types(operator, form):
        plugin = plugin_of(emulated_plugins, operator, form)
        tensors, _ = described(operator, form, first)
        number = len(operator.inputs_of(form))
        inputs, outputs = tensors[:number], tensors[number:]
        assert plugin.output_types([t.type for t in inputs]) == [t.type for t in outputs]
        shapes = [shape_of(t) for t in operator.outputs]
        assert plugin.output_shapes(inputs, len(outputs)) == shapes
        plugin.configure(inputs, outputs)
        plugin.shape_change(inputs, outputs)


@each_form
def test_tensors_take_exactly_the_types_of_the_schema(emulated_plugins, operator, form):
    """At each position, with all others as they should be."""
    plugin = plugin_of(emulated_plugins, operator, form)
    for first in first_types(operator, form):
        tensors, chosen = described(operator, form, first)
        inputs = len(operator.inputs_of(form))
        for at, each in enumerate(all_tensors(operator, form)):
            accepted = set()
            for kind in KINDS.values():
                for layout in (LINEAR, 1, HWC8, HWC16):
                    changed = list(tensors)
                    changed[at] = tensor(kind, *shape_of(each), layout=layout)
                    if plugin.supports(at, changed[:inputs], changed[inputs:]):
                        accepted.add((kind, layout))
            kinds = allowed(each, form, chosen)
            if at == 0 and operator is REGION_CONV:
                kinds = {FLOAT, HALF, BF16, INT8}  # the form is not known yet
            expected = {(kind, LINEAR) for kind in kinds}
            if at == 0 and operator is REGION_GATHER:  # as its README says
                expected |= {(HALF, HWC8), (BF16, HWC8), (INT8, HWC16)}
            assert accepted == expected, (each.name, first)


@pytest.mark.parametrize("operator", OPERATORS.values(), ids=lambda o: o.name)
def test_creators_announce_the_attributes(emulated_plugins, operator):
    announced = emulated_plugins.fields(operator.name)
    assert announced == {a.name: (FIELD_TYPES[a.kind], a.length or 1) for a in operator.attributes}


@pytest.mark.parametrize("operator", OPERATORS.values(), ids=lambda o: o.name)
def test_omitted_attributes_have_the_defaults_of_the_schema(emulated_plugins, operator):
    attributes = required(operator)
    values = emulated_plugins.plugin(operator.name, attributes).serialised()
    # Which channels are read depends on the inputs: nothing is written where all are.
    expected = {a.name: a.default for a in operator.attributes if a.has_default} | attributes
    assert {name: np.squeeze(v).tolist() for name, v in values.items()} == expected
    for missing in attributes:
        with pytest.raises(HarnessError, match=f"attribute {missing} is missing"):
            others = {name: value for name, value in attributes.items() if name != missing}
            emulated_plugins.plugin(operator.name, others)


@pytest.mark.parametrize("attribute", [a for a in REGION_CONV.attributes if a.choices])
def test_attributes_have_as_many_values_as_the_schema_says(emulated_plugins, attribute):
    for value in (-1, 0, attribute.choices - 1, attribute.choices):
        attributes = required(REGION_CONV) | {attribute.name: value}
        if 0 <= value < attribute.choices:
            emulated_plugins.plugin("RegionConv", attributes)
            continue
        with pytest.raises(HarnessError, match=f"{attribute.name} is {value}"):
            emulated_plugins.plugin("RegionConv", attributes)


@pytest.mark.parametrize("layout", [None, 0, 1])
def test_the_layout_of_weights_has_one_default(emulated_plugins, layout):
    """A plugin without weight_layout reads weights as the function without it does."""
    function = plugin_function(REGION_CONV, Form(1))
    defaults = {a.name: helper.get_attribute_value(a) for a in function.attribute_proto}
    attributes = required(REGION_CONV) | ({} if layout is None else {"weight_layout": layout})
    plugin = emulated_plugins.plugin("RegionConv", attributes)
    shapes = {0: (24, 16, 3, 3), 1: (24, 3, 3, 16)}
    tensors, _ = described(REGION_CONV, EXCHANGE, FLOAT)
    at = [t.name for t in REGION_CONV.inputs_of(EXCHANGE)].index("weight")
    for number, shape in shapes.items():
        tensors[at] = tensor(FLOAT, *shape)
        if number == (defaults["weight_layout"] if layout is None else layout):
            plugin.configure(tensors[:-1], tensors[-1:])
            continue
        with pytest.raises(HarnessError, match="of weight is"):
            plugin.configure(tensors[:-1], tensors[-1:])


# --- sources -----------------------------------------------------------------------------------


def snake(name):
    return re.sub(r"(?<!^)(?=[A-Z])", "_", name).lower()


def enum_names(header, name):
    """``["rows", "count"]`` of ``enum Input { kRows, kCount, kInputs };``."""
    found = re.search(rf"enum {name} {{([^}}]*)}}", header)
    names = re.findall(r"k(\w+)", found[1]) if found else []
    return [snake(n) for n in names if n not in ("Inputs", "FixedInputs")]


@pytest.mark.parametrize("operator", OPERATORS.values(), ids=lambda o: o.name)
def test_sources_have_the_tensors_in_order(repository, operator):
    header = (repository / "plugins" / snake(operator.name) / "plugin.h").read_text()
    inputs = [t.name for t in operator.inputs if not t.variadic]
    assert enum_names(header, "Input") == inputs
    outputs = [t.name for t in operator.outputs]
    assert enum_names(header, "Output") == (outputs if len(outputs) > 1 else [])
    assert f'kName[] = "{operator.name}"' in header


@pytest.mark.parametrize("operator", OPERATORS.values(), ids=lambda o: o.name)
def test_sources_name_the_attributes(repository, operator):
    source = (repository / "plugins" / snake(operator.name) / "plugin.cpp").read_text()
    named = re.findall(r'constexpr char k\w+\[\] = "(\w+)";', source)
    if "WindowAttributes::add_fields" in source:
        window = (repository / "plugins" / "common" / "window.cpp").read_text()
        named = [*re.findall(r'constexpr char k\w+\[\] = "(\w+)";', window), *named]
    assert named == [a.name for a in operator.attributes]


def test_sources_have_the_numbers_of_the_schema(repository):
    plugins = repository / "plugins"
    conv = (plugins / "kernels" / "region_conv" / "region_conv.h").read_text()
    assert f"kMaxConvSegments = {MAX_SEGMENTS};" in conv
    common = (plugins / "common" / "plugin.h").read_text()
    assert f'#define LC_TRT_PLUGIN_VERSION "{VERSION}"' in common
    assert f'kNamespace[] = "{DOMAIN}"' in common
