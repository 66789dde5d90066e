"""The region convolutions of a network, as they stand in its lowered ONNX."""

from __future__ import annotations

import pytest
from gpubench.layers import feature_map, layers_of, preset_layers, region_convolutions
from gpubench.networks import KINDS, lower
from tiny_networks import tiny_model

from lc_trt.compiler.pass_manager import run_passes
from lc_trt.compiler.passes.to_dense import ToDense
from lc_trt.ir.cost import stage_macs

SIZE = (40, 56)


@pytest.mark.parametrize("trunk", ["irnet", "inception"])
@pytest.mark.parametrize("form", ["plain", "aspp"])
def test_layers_have_the_operations_of_the_exported_graph(trunk: str, form: str) -> None:
    source = tiny_model(trunk, form)
    macs = stage_macs(source, SIZE)
    _, h, w = feature_map(1, SIZE)
    layers = layers_of(lower(source, None, None, "float16"))
    found = h * w * sum(layer.macs * count for layer, count in layers.items())
    assert found == macs.stage2 + macs.head2 + macs.stage3 + macs.head3


@pytest.mark.parametrize("kind", KINDS)
def test_sizes_do_not_matter_and_types_are_those_of_the_graph(kind: str) -> None:
    source = tiny_model("inception", "aspp")
    layers = layers_of(lower(source, SIZE, 2, kind))
    assert layers == layers_of(lower(source, None, None, kind))
    types = {layer.type for layer in layers} | {layer.output for layer in layers}
    assert types == ({"int8", "float16"} if kind == "int8" else {kind})


def test_int8_layers_have_padded_widths() -> None:
    source = tiny_model("irnet")  # widths of 8
    convs = dict(region_convolutions(lower(source, None, None, "int8")))
    integers = [layer for layer in convs.values() if layer.type == "int8"]
    assert {begin % 16 for layer in integers for _, begin, _ in layer.segments} == {0}
    # The classifiers stay in floating point, and so does what only they read.
    classifiers = [
        layer for name, layer in convs.items() if name in ("head2/3/conv", "head3/1/conv")
    ]
    assert {layer.type for layer in classifiers} == {"float16"}
    assert {layer.output for layer in integers} == {"int8", "float16"}


def test_the_stages_of_irnet_have_the_blocks_of_the_paper() -> None:
    layers = preset_layers("irnet", "float16")
    assert sum(layers.values()) == 92
    by_name: dict[str, int] = {}
    for layer, count in layers.items():
        by_name[layer.name] = by_name.get(layer.name, 0) + count
    assert by_name["1x7/1,2 128>160"] == by_name["7x1/2,1 160>192"] == 10
    assert by_name["1x3/1,4 192>224"] == by_name["3x1/4,1 224>256"] == 5
    # 1x1 branches on one input are one product, and a residual in parts is cut by channels.
    assert by_name["1x1 192+192>1152 +r"] == 10
    assert by_name["1x1 256+256+384+1152>384"] == by_name["1x1 192+256>384 +r"] == 5


def test_a_dense_network_has_no_region_layers() -> None:
    assert layers_of(lower(run_passes(tiny_model(), [ToDense()]), SIZE, 1, "float16")) == {}
