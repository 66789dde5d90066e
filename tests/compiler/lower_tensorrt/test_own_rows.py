"""Rows for 1x1 convolutions, in ONNX Runtime before and after the lowering."""

from __future__ import annotations

from region_graphs import CHANNELS, assert_equal_results, count, region_graph, views

from lc_trt.compiler.graph import Graph
from lc_trt.compiler.lower_tensorrt import lower_tensorrt
from lc_trt.compiler.lower_tensorrt.own_rows import OwnRows
from lc_trt.compiler.pass_manager import run_passes
from lc_trt.ir.export.regions import all_rows


def test_a_1x1_of_a_map_gets_rows_of_the_region():
    def body(b):
        source = all_rows(b, "x")
        return b.conv(b.map_conv(source, CHANNELS, 4, kernel=1), 4, 3), 3

    model = region_graph(body)
    assert OwnRows().apply(Graph(model)).rewrites == 1
    final = run_passes(model, lower_tensorrt())
    assert_equal_results(model, final)
    (restrict,) = views(final, "RegionRestrict")
    first, second = views(final, "RegionConv")
    assert first.inputs("x") == [restrict.output("y")]
    assert first.region() == second.region()


def test_windows_read_the_map_itself():
    model = region_graph(lambda b: (b.map_conv(all_rows(b, "x"), CHANNELS, 3), 3))
    assert OwnRows().apply(Graph(model)).rewrites == 0
    assert not count(run_passes(model, lower_tensorrt()), "RegionRestrict")
