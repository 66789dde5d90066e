"""INT8 rows in graphs of a few operators, against FP32."""

from __future__ import annotations

import numpy as np
import onnx
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from lowered_int8 import INT8, assert_near, types_of
from region_graphs import CHANNELS, count, region_graph, views

from lc_trt.compiler.graph import Graph
from lc_trt.compiler.passes.quantization_plan import make_plan
from lc_trt.ir.export.regions import all_rows
from lc_trt.ir.node_view import NodeView


@settings(max_examples=10)
@given(
    widths=st.lists(st.integers(1, 5), min_size=2, max_size=4),
    kernel=st.sampled_from([1, 3]),
    kept=st.sets(st.integers(0, 5)),
    seed=st.integers(0, 99),
)
def test_branches_and_residuals_of_any_width(widths, kernel, kept, seed):
    def body(b):
        start = b.op("Relu", b.conv(b.entered, CHANNELS, CHANNELS))  # first, in floating point
        branches = [b.op("Relu", b.conv(start, CHANNELS, width)) for width in widths]
        branches[0] = b.op("Relu", b.conv(branches[0], widths[0], widths[0], 3))
        y = b.conv(b.op("Concat", *branches, axis=1), sum(widths), CHANNELS, kernel)
        y = b.op("Mul", y, b.constant(0.5, np.float32))
        y = b.op("Relu", b.op("Add", start, y))
        return b.conv(y, CHANNELS, 4, kernel), 4

    model = region_graph(body, seed)
    convolutions = make_plan(Graph(model)).convolutions
    keep = {name for i, name in enumerate(convolutions) if i in kept}
    lowered = assert_near(model, keep, error=0.05)
    types = types_of(lowered)
    int8 = [c for c in views(lowered, "RegionConv") if types[c.inputs("x")[0]] == INT8]
    assert bool(int8) == (len(keep) < len(convolutions))


def test_merged_branches_keep_their_scales():
    """One range is 100 times the other, which a common scale would lose."""

    def body(b):
        start = b.op("Relu", b.conv(b.entered, CHANNELS, CHANNELS))
        small, large = b.conv(start, CHANNELS, 4), b.conv(start, CHANNELS, 4)
        weight = NodeView(b.nodes[-1]).input("weight")
        value = onnx.numpy_helper.to_array(b.initializers[weight]) * 100
        b.initializers[weight] = onnx.numpy_helper.from_array(value, weight)
        small, large = (b.conv(b.op("Relu", x), 4, CHANNELS, 3) for x in (small, large))
        hundred = b.constant(100, np.float32)
        return b.op("Add", b.op("Mul", small, hundred), large), CHANNELS

    lowered = assert_near(region_graph(body))
    convs = views(lowered, "RegionConv")
    (merged,) = [conv for conv in convs if conv.node.name.endswith("merged")]
    sizes = {t.name: tuple(t.dims) for t in lowered.graph.initializer}
    assert types_of(lowered)[merged.output("y")] == INT8
    assert sizes[merged.input("scale")] == (32,)


@pytest.mark.parametrize("parts", [8, 17])
def test_excess_segments_are_summed_in_floating_point(parts):
    def body(b):
        start = b.op("Relu", b.conv(b.entered, CHANNELS, CHANNELS))
        each = [b.conv(start, CHANNELS, 2, 3) for _ in range(parts)]
        y = b.op("Relu", b.conv(b.op("Concat", *each, axis=1), 2 * parts, CHANNELS, 3))
        return b.conv(y, CHANNELS, 4), 4

    lowered = assert_near(region_graph(body))
    assert count(lowered, "RegionQuantize") == 1 + (parts > 8)


@pytest.mark.parametrize("channels", [CHANNELS, 5])
def test_a_maximum_stays_in_int8(channels):
    def body(b):
        start = b.op("Relu", b.conv(b.entered, CHANNELS, CHANNELS))
        y = b.conv(start, CHANNELS, channels)
        return b.conv(b.op("Concat", b.pool(y), y, axis=1), 2 * channels, 4), 4

    lowered = assert_near(region_graph(body))
    (pool,) = views(lowered, "RegionMaxPool")
    types = types_of(lowered)
    assert types[pool.input("x")] == types[pool.output("y")] == INT8


@pytest.mark.parametrize("kept", [0, 1, 2])
@pytest.mark.parametrize("kernel", [1, 3])
def test_a_dense_map_is_read_in_int8_and_in_floating_point(kept, kernel):
    """Its rows exist in both types; nothing is quantised twice."""

    def body(b):
        start = b.op("Conv", "x", b.weight("first", b.random(CHANNELS, CHANNELS, 1, 1)))
        source = all_rows(b, b.op("Relu", start))
        parts = [b.op("Relu", b.map_conv(source, CHANNELS, 4, k)) for k in (3, kernel)]
        return b.conv(b.op("Concat", *parts, axis=1), 8, 4), 4

    model = region_graph(body)
    keep = make_plan(Graph(model)).convolutions[:kept]
    lowered = assert_near(model, keep)
    types = types_of(lowered)
    convs = views(lowered, "RegionConv")
    assert [types[conv.inputs("x")[0]] == INT8 for conv in convs[:2]] == [kept < 1, kept < 2]
    restricts = views(lowered, "RegionRestrict")
    assert len(restricts) == (kernel == 1)
    for restrict in restricts:
        assert (types[restrict.input("x")] == INT8) == (kept < 2)
