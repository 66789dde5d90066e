"""Padding to widths of the kernel's fast path."""

from __future__ import annotations

from compilation import lowered_for_tensorrt
from lowered_int8 import SIZE
from region_graphs import count, views

from lc_trt.compiler.lower_tensorrt.operators import segments_of
from lc_trt.compiler.options import Quantization


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
