"""Types of row tensors."""

from __future__ import annotations

import numpy as np
import pytest
from compilation import lowered_for_tensorrt
from hypothesis import Phase, given, settings
from hypothesis import strategies as st
from lowered_int8 import EMPTY, FLOAT, FULL, HALF, INT8, SIZE, types_of
from region_graphs import count, views
from tiny_networks import frames, run, session

from lc_trt.compiler.options import Quantization
from lc_trt.compiler.passes.quantization_plan import make_plan, select_layers
from lc_trt.compiler.pipeline import prepare


@pytest.mark.parametrize("precision", ["fp32", "fp16"])
@pytest.mark.parametrize("network", [("irnet", "plain"), ("inception", "aspp")], ids="-".join)
def test_every_region_convolution_but_the_classifiers_is_int8(tiny, network, precision):
    model, ranges, *_ = tiny(*network)
    lowered = lowered_for_tensorrt(model, SIZE, 1, precision, Quantization(ranges))
    types, floating = types_of(lowered), HALF if precision == "fp16" else FLOAT
    convs = views(lowered, "RegionConv")
    quantisable = make_plan(prepare(model, SIZE, 1)).convolutions
    quantised = [conv for conv in convs if types[conv.inputs("x")[0]] == INT8]
    assert len(quantised) > 20
    for conv in convs:
        if conv not in quantised:
            name = conv.node.name
            assert not any(name.startswith(quantisable_name) for quantisable_name in quantisable)
            assert name.startswith("head") and types[conv.output("y")] == floating
            continue
        assert {types[name] for name in (*conv.inputs("x"), conv.input("weight"))} == {INT8}
        assert [types[conv.input(name)] for name in ("scale", "bias")] == [FLOAT, FLOAT]
        expected = {0: INT8, 1: FLOAT, 2: HALF}[conv.attribute("output_type")]
        assert types[conv.output("y")] == expected and expected in (INT8, floating)
        assert types[conv.input("residual")] in (INT8, expected)
    readers = {name: [n for n in lowered.graph.node if name in n.input] for name in types}
    for conv in quantised:
        y = conv.output("y")
        assert {types[n.input[0]] == INT8 for n in readers[y]} == {types[y] == INT8}
    # Nothing is stored in two forms, and rows are gathered in INT8.
    assert not count(lowered, "RegionQuantize")
    moving = [view for name in ("Gather", "Restrict", "MaxPool")
              for view in views(lowered, f"Region{name}")]  # fmt: skip
    assert moving and all(types[view.output("y")] == INT8 for view in moving)
    for op_type, name in (("Softmax", "input"), ("ReduceMax", "data")):
        assert all(types[view.input(name)] == FLOAT for view in views(lowered, op_type))
    for select in views(lowered, "RegionSelect"):
        assert types[select.input("confidence")] == FLOAT


LAYERS = ("stage1/1", "stage2/0", "stage2/0/branches/branch1", "stage3", "head2", "head1/0")


# Not shrunk: an example takes a second and already names the kept layers.
@settings(max_examples=6, phases=(Phase.generate,))
@given(
    keep=st.sets(st.sampled_from(LAYERS), min_size=1), precision=st.sampled_from(["fp32", "fp16"])
)
def test_exactly_the_kept_layers_are_floating_point(tiny, keep, precision):
    model, ranges, full, _ = tiny("irnet", "plain")
    plan = make_plan(prepare(model, SIZE, 1))
    kept = select_layers(plan, tuple(keep))
    lowered = lowered_for_tensorrt(model, SIZE, 1, precision, Quantization(ranges, kept))
    types = types_of(lowered)
    for view in views(lowered, "RegionConv"):
        # A product of several branches is called after the first: none is of both kinds.
        (conv,) = [c for c in plan.convolutions if view.node.name.startswith(c)] or [None]
        int8 = types[view.inputs("x")[0]] == INT8
        assert int8 == (conv is not None and conv not in kept), view.node.name
    images, lowered = frames(1, SIZE, seed=5), session(lowered)
    for rho in (EMPTY, FULL):
        expected, found = run(full, images, rho), run(lowered, images, rho)
        assert np.abs(found["confidence"] - expected["confidence"]).mean() < 0.04


def test_rows_with_mixed_readers_are_quantised_once(tiny):
    model, ranges, *_ = tiny("irnet", "plain")
    plan = make_plan(prepare(model, SIZE, 1))
    kept = select_layers(plan, ("stage2/0/branches/branch1/1",))
    lowered = lowered_for_tensorrt(model, SIZE, 1, "fp16", Quantization(ranges, kept))
    types = types_of(lowered)
    quantizers = views(lowered, "RegionQuantize")
    convs = views(lowered, "RegionConv")
    # The result of the kept convolution, and what it and a branch of its own block both read.
    assert len(quantizers) == 2
    for quantizer in quantizers:
        x = quantizer.input("x")
        assert types[x] == HALF and types[quantizer.output("y")] == INT8
        floating = [conv for conv in convs if x in conv.inputs("x")]
        (source,) = [conv for conv in convs if conv.output("y") == x]
        assert floating or types[source.inputs("x")[0]] == HALF
        assert all(types[conv.output("y")] != INT8 for conv in floating)
