"""Padding to widths of the kernel's fast path."""

from __future__ import annotations

from compilation import lowered_for_tensorrt
from lowered_int8 import INT8, SIZE, assert_near, types_of
from region_graphs import CHANNELS, count, region_graph, views

from lc_trt.compiler.lower_tensorrt.operators import segments_of
from lc_trt.compiler.options import Quantization
from lc_trt.ir.export.regions import all_rows


def test_rows_are_padded_for_the_fast_path(tiny):
    """Widths that are no multiple of 16, of branches, of the residual stream and of the map."""
    model, ranges, *_ = tiny("irnet", "plain")
    lowered = lowered_for_tensorrt(model, SIZE, 1, "fp16", Quantization(ranges))
    sizes = {t.name: tuple(t.dims) for t in lowered.graph.initializer}
    convs = views(lowered, "RegionConv")
    widths = {conv.output("y"): sizes[conv.input("weight")][0] for conv in convs}
    int8 = [conv for conv in convs if conv.node.overload.startswith("int8")]
    segments = [segment for conv in int8 for segment in segments_of(conv)]
    assert segments
    for x, begin, end in segments:
        assert begin % 16 == end % 16 == widths.get(x, 0) % 16 == 0
    (gather,) = views(lowered, "RegionGather")
    (pad,) = views(lowered, "Pad")
    quantizers = {view.output("y"): view for view in views(lowered, "QuantizeLinear")}
    dequantized = {view.output("y") for view in views(lowered, "DequantizeLinear")}
    assert quantizers[gather.input("x")].input("x") == pad.output("output")
    assert pad.input("data") in dequantized
    assert not count(lowered_for_tensorrt(model, SIZE, 1, "fp16"), "Pad")


def test_rows_of_a_dense_map_are_padded_once():
    """Two convolutions of a map of six channels."""

    def body(b):
        start = b.op("Conv", "x", b.weight("first", b.random(CHANNELS, CHANNELS, 1, 1)))
        source = all_rows(b, b.op("Relu", start))
        parts = [b.op("Relu", b.map_conv(source, CHANNELS, 4)) for _ in range(2)]
        return b.conv(b.op("Concat", *parts, axis=1), 8, 4), 4

    lowered = assert_near(region_graph(body))
    (pad,) = views(lowered, "Pad")
    convs = [c for c in views(lowered, "RegionConv") if list(c.attribute("kernel_shape")) == [3, 3]]
    (x,) = {conv.inputs("x")[0] for conv in convs}
    (quantize,) = [q for q in views(lowered, "QuantizeLinear") if q.output("y") == x]
    assert quantize.input("x") == pad.output("output") and types_of(lowered)[x] == INT8
    assert [segments_of(conv) for conv in convs] == [[(x, 0, 16)]] * 2
