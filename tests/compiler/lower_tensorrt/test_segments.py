"""Rows in segments instead of concatenations, in ONNX Runtime before and after."""

from __future__ import annotations

from dataclasses import replace

import numpy as np
import onnx
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from onnx import TensorProto, helper
from region_graphs import (
    CHANNELS,
    assert_equal_results,
    channel_joins,
    count,
    region_graph,
    residual_block,
    views,
)

from lc_trt.compiler.lower_tensorrt import lower_tensorrt
from lc_trt.compiler.pass_manager import run_passes
from lc_trt.compiler.passes.fold_constants import FoldConstants
from lc_trt.errors import LcTrtError
from lc_trt.ir.export.regions import all_rows

ROWS = "all_rows/rows"


def lowered(model):
    return run_passes(model, lower_tensorrt())


def test_a_concatenated_residual_stays_segmented():
    def body(b):
        joined = b.op("Concat", b.conv(b.entered, CHANNELS, 3, 3), b.entered, axis=1)
        y = b.op("Add", joined, b.conv(joined, 9, 9))
        y = b.op("Add", y, b.conv(y, 9, 9, 3))
        return b.conv(b.pool(y), 9, 4), 4

    model = region_graph(body)
    final = lowered(model)
    assert_equal_results(model, final)
    assert count(final, "RegionConv") == 1 + 2 + 2 + 1
    assert count(final, "RegionMaxPool") == 2 and not channel_joins(final)


@pytest.mark.parametrize("parts", [8, 17])
def test_excess_segments_are_summed(parts):
    def body(b):
        each = [b.conv(b.entered, CHANNELS, 2, 3) for _ in range(parts)]
        y = b.conv(b.op("Concat", *each, axis=1), 2 * parts, CHANNELS, 3)
        y = b.op("Mul", y, b.constant(0.25, np.float32))
        return b.op("Relu", b.op("Add", y, b.entered)), CHANNELS

    model = region_graph(body)
    final = lowered(model)
    assert_equal_results(model, final)
    assert count(final, "RegionConv") == parts + -(-parts // 8)


@settings(max_examples=10)
@given(
    widths=st.lists(st.integers(1, 5), min_size=1, max_size=4),
    kernel=st.sampled_from([1, 3]),
    seed=st.integers(0, 99),
)
def test_concatenations_of_any_width(widths, kernel, seed):
    def body(b):
        branches = [b.op("Relu", b.conv(b.entered, CHANNELS, width)) for width in widths]
        joined = b.op("Concat", b.entered, *branches, axis=1)
        again = b.op("Concat", branches[0], joined, axis=1)
        total = CHANNELS + sum(widths) + widths[0]
        return b.conv(again, total, 3, kernel), 3

    model = region_graph(body, seed)
    final = lowered(model)
    assert_equal_results(model, final)
    assert count(final, "RegionConv") == 2 and not channel_joins(final)


@pytest.mark.parametrize("static", [False, True])
@pytest.mark.parametrize("kernel", [1, 3])
def test_rows_of_a_dense_map_are_segments(static, kernel):
    def body(b):
        source = all_rows(b, b.op("Relu", "x"))
        left = b.op("Relu", b.map_conv(source, CHANNELS, 4, kernel))
        left = b.op("Add", left, b.map_conv(source, CHANNELS, 4))
        pooled = b.pool(source.rows, replace(b.selected, index=source.index))
        joined = b.op("Concat", left, b.entered, pooled, axis=1)
        return b.conv(joined, 4 + 2 * CHANNELS, 3), 3

    model = region_graph(body, static=static)
    final = lowered(run_passes(model, [FoldConstants()]))
    assert_equal_results(model, final)
    assert not channel_joins(final)


def test_other_layers_may_read_rows_of_a_dense_map():
    model = region_graph(lambda b: (b.map_conv(all_rows(b, "x"), CHANNELS, 3), 3))
    (reshape,) = [view for view in views(model, "Reshape") if view.output("reshaped") == ROWS]
    model.graph.node.append(helper.make_node("Relu", [reshape.output("reshaped")], ["other"]))
    model.graph.output.append(helper.make_tensor_value_info("other", TensorProto.FLOAT, None))
    assert count(lowered(model), "Relu") == 1


def test_rows_of_unknown_width_are_refused():
    model = region_graph(lambda b: (b.map_conv(all_rows(b, "x"), CHANNELS, 2), 2))
    (reshape,) = [view for view in views(model, "Reshape") if view.output("reshaped") == ROWS]
    reshape.set_input("shape", "computed")
    model.graph.input.append(helper.make_tensor_value_info("computed", TensorProto.INT64, [2]))
    with pytest.raises(LcTrtError, match=f"the channels of '{ROWS}' could not be inferred"):
        lowered(model)


def test_sizes_may_be_symbolic():
    model = region_graph(residual_block, static=False)
    assert_equal_results(model, lowered(model))


def test_unsupported_readers_of_segments_are_refused():
    model = region_graph(lambda b: (b.op("Concat", b.entered, b.entered, axis=1), 2 * CHANNELS))
    with pytest.raises(LcTrtError, match=r"\(RegionScatter\) reads 'concat', rows of a region"):
        lowered(model)


def test_rows_of_unknown_origin_are_refused():
    model = region_graph(lambda b: (b.conv(b.entered, CHANNELS, 2), 2))
    views(model, "RegionConv")[0].set_input("x", "outside")
    model.graph.input.append(helper.make_tensor_value_info("outside", TensorProto.FLOAT, ["r", 6]))
    with pytest.raises(LcTrtError, match="'outside', which is not the output"):
        lowered(model)


def test_computed_weights_are_refused():
    def body(b):
        y = b.conv(b.entered, CHANNELS, 2)
        b.nodes.insert(0, helper.make_node("Identity", ["stored"], ["computed"]))
        b.initializers["stored"] = onnx.numpy_helper.from_array(
            np.ones((2, CHANNELS, 1, 1), np.float32), "stored"
        )
        return y, 2

    model = region_graph(body)
    views(model, "RegionConv")[0].set_input("weight", "computed")
    with pytest.raises(LcTrtError, match="node 'conv': its weight and bias are not constants"):
        lowered(model)
