"""Each step towards TensorRT on graphs of a few operators, in ONNX Runtime before and after."""

from __future__ import annotations

import numpy as np
import onnx
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from onnx import TensorProto, helper
from region_graphs import CHANNELS, assert_equal_results, region_graph
from tiny_networks import tiny_model

from lc_trt.compiler.lower_tensorrt import lower_tensorrt
from lc_trt.compiler.lower_tensorrt.full_map_heads import scatter_logits
from lc_trt.compiler.lower_tensorrt.fuse_epilogues import fuse_epilogues
from lc_trt.compiler.lower_tensorrt.int32_masks import int32_masks
from lc_trt.compiler.lower_tensorrt.merge_branches import merge_branches
from lc_trt.compiler.lower_tensorrt.segments import read_segments
from lc_trt.compiler.lower_tensorrt.uint8_io import cast_at_borders
from lc_trt.compiler.lower_tensorrt.verify import check_lowered
from lc_trt.compiler.pass_manager import run_passes
from lc_trt.compiler.passes.fold_batch_norm import FoldBatchNorm
from lc_trt.compiler.passes.fold_constants import FoldConstants
from lc_trt.compiler.passes.freeze import Freeze
from lc_trt.errors import LcTrtError
from lc_trt.ir.interface import DOMAIN


def attributes_of(model, op_type="RegionConv"):
    return [
        {a.name: helper.get_attribute_value(a) for a in n.attribute}
        for n in model.graph.node
        if n.op_type == op_type
    ]


def count(model, op_type):
    return sum(n.op_type == op_type for n in model.graph.node)


def joins(model):
    """Concat and Split of channels: the graphs here have a Concat of a shape too."""
    found = [n for n in model.graph.node if n.op_type in ("Concat", "Split")]
    return sum(a.name == "axis" and a.i == 1 for n in found for a in n.attribute)


# --- epilogues -----------------------------------------------------------------------------------


@pytest.mark.parametrize("first", [True, False], ids=["conv+x", "x+conv"])
@pytest.mark.parametrize("relu", [True, False])
def test_a_scaled_residual_and_a_relu_become_the_epilogue(first, relu):
    def body(b):
        y = b.op("Mul", b.conv(b.entered, CHANNELS, CHANNELS, 3), b.constant(0.3, np.float32))
        y = b.op("Add", *((y, b.entered) if first else (b.entered, y)))
        return (b.op("Relu", y) if relu else y), CHANNELS

    model = region_graph(body)
    fused = fuse_epilogues(model)
    assert_equal_results(model, fused)
    (found,) = attributes_of(fused)
    assert found["residual_scale"] == pytest.approx(0.3)
    assert found.get("activation", 0) == relu
    assert not count(fused, "Add") + count(fused, "Mul") + count(fused, "Relu")


def test_a_sum_of_convolutions_becomes_a_chain():
    def body(b):
        total = b.conv(b.entered, CHANNELS, 4)
        for _ in range(3):
            total = b.op("Add", total, b.conv(b.entered, CHANNELS, 4, 3))
        return total, 4

    model = region_graph(body)
    fused = fuse_epilogues(model)
    assert_equal_results(model, fused)
    assert count(fused, "RegionConv") == 4 and not count(fused, "Add")


def test_what_has_another_reader_is_not_fused():
    def body(b):
        y = b.conv(b.entered, CHANNELS, CHANNELS)
        return b.conv(b.op("Concat", b.op("Relu", y), y, axis=1), 2 * CHANNELS, 4), 4

    model = region_graph(body)
    assert count(fuse_epilogues(model), "Relu") == 1
    with pytest.raises(LcTrtError, match=r"\(Relu\) reads 'conv', rows of a region"):
        lower_tensorrt(model)


def test_a_factor_after_a_residual_is_not_taken_for_the_convolution_s():
    def body(b):
        y = b.op("Add", b.conv(b.entered, CHANNELS, CHANNELS), b.entered)
        return b.op("Mul", y, b.constant(0.5, np.float32)), CHANNELS

    model = region_graph(body)
    fused = fuse_epilogues(model)
    assert_equal_results(model, fused)
    assert count(fused, "Mul") == 1 and not count(fused, "Add")


# --- branches and segments -----------------------------------------------------------------------


def block(b, channels=CHANNELS):
    """A residual block as in the networks, but with the channels' own widths."""
    left = b.op("Relu", b.conv(b.entered, channels, 3))
    right = b.op("Relu", b.conv(b.entered, channels, 5))
    right = b.op("Relu", b.conv(right, 5, 4, 3))
    y = b.conv(b.op("Concat", left, right, axis=1), 7, channels)
    return b.op("Relu", b.op("Add", b.entered, y)), channels


def test_branches_on_the_same_rows_become_one_product_that_is_read_in_parts():
    model = region_graph(block)
    merged = merge_branches(fuse_epilogues(model))
    assert_equal_results(model, merged)
    assert count(merged, "RegionConv") == 3 and count(merged, "Split") == 1
    final = read_segments(merged).model
    assert_equal_results(model, final)
    assert not joins(final)
    slices = [(a["channel_begin"], a["channel_end"]) for a in attributes_of(final)]
    assert slices == [([0], [6]), ([3], [8]), ([0, 0], [3, 4])]


def test_a_branch_that_something_else_reads_stays_alone():
    def body(b):
        left = b.conv(b.entered, CHANNELS, 3)
        right = b.pool(b.conv(b.entered, CHANNELS, 3))
        return b.conv(b.op("Concat", left, right, axis=1), 6, 4), 4

    model = region_graph(body)
    merged = merge_branches(model)
    assert count(merged, "RegionConv") == 3
    assert_equal_results(model, read_segments(merged).model)


def test_a_residual_that_is_a_concatenation_stays_in_parts():
    def body(b):
        joined = b.op("Concat", b.conv(b.entered, CHANNELS, 3, 3), b.entered, axis=1)
        y = b.op("Add", joined, b.conv(joined, 9, 9))
        y = b.op("Add", y, b.conv(y, 9, 9, 3))
        return b.conv(b.pool(y), 9, 4), 4

    model = region_graph(body)
    final = lower_tensorrt(model)
    assert_equal_results(model, final)
    assert count(final, "RegionConv") == 1 + 2 + 2 + 1
    assert count(final, "RegionMaxPool") == 2 and not joins(final)


@pytest.mark.parametrize("parts", [8, 17])
def test_more_parts_than_a_plugin_takes_are_added_up(parts):
    def body(b):
        each = [b.conv(b.entered, CHANNELS, 2, 3) for _ in range(parts)]
        y = b.conv(b.op("Concat", *each, axis=1), 2 * parts, CHANNELS, 3)
        y = b.op("Mul", y, b.constant(0.25, np.float32))
        return b.op("Relu", b.op("Add", y, b.entered)), CHANNELS

    model = region_graph(body)
    final = lower_tensorrt(model)
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
    final = lower_tensorrt(model)
    assert_equal_results(model, final)
    assert count(final, "RegionConv") == 2 and not joins(final)


def test_sizes_may_be_symbolic():
    model = region_graph(block, static=False)
    assert_equal_results(model, lower_tensorrt(model))


def test_rows_that_were_never_put_together_are_refused_by_who_reads_them():
    model = region_graph(lambda b: (b.op("Concat", b.entered, b.entered, axis=1), 2 * CHANNELS))
    with pytest.raises(LcTrtError, match=r"\(RegionScatter\) reads 'concat', rows of a region"):
        lower_tensorrt(model)


def test_rows_that_no_region_operator_made_are_refused():
    model = region_graph(lambda b: (b.conv(b.entered, CHANNELS, 2), 2))
    conv = next(n for n in model.graph.node if n.op_type == "RegionConv")
    conv.input[0] = "outside"
    model.graph.input.append(helper.make_tensor_value_info("outside", TensorProto.FLOAT, ["r", 6]))
    with pytest.raises(LcTrtError, match="'outside', which no region operator made"):
        lower_tensorrt(model)


@pytest.mark.parametrize(
    ("op_type", "at"), [("RegionGather", 0), ("RegionSelect", 0)], ids=["features", "positions"]
)
def test_the_check_names_a_standard_operator_on_rows(op_type, at):
    model = lower_tensorrt(region_graph(lambda b: (b.conv(b.entered, CHANNELS, 2), 2)))
    made = next(n for n in model.graph.node if n.op_type == op_type)
    model.graph.node.append(helper.make_node("Abs", [made.output[at]], ["abs"], "abs"))
    with pytest.raises(LcTrtError, match=r"node 'abs' \(Abs\) reads"):
        check_lowered(model)


def test_a_weight_that_is_computed_is_refused():
    def body(b):
        y = b.conv(b.entered, CHANNELS, 2)
        b.nodes[-1].input[4] = "computed"
        b.nodes.insert(0, helper.make_node("Identity", ["stored"], ["computed"]))
        b.initializers["stored"] = onnx.numpy_helper.from_array(
            np.ones((2, CHANNELS, 1, 1), np.float32), "stored"
        )
        return y, 2

    with pytest.raises(LcTrtError, match="node 'conv': its weight and bias are not constants"):
        lower_tensorrt(region_graph(body))


def test_each_plugin_is_told_all_it_can_be_told():
    final = lower_tensorrt(region_graph(lambda b: (b.pool(block(b)[0]), CHANNELS)))
    plugin = {"plugin_version": b"1", "plugin_namespace": b"lc_trt"}
    window = {"kernel_shape", "dilations"}
    segments = {
        "activation", "residual_scale", "residual_factor", "output_type", "weight_layout",
        "channel_begin", "channel_end",
    }  # fmt: skip
    expected = {"RegionMaxPool": window, "RegionConv": window | segments}
    regions = [n for n in final.graph.node if n.domain == DOMAIN]
    assert len(regions) == 7
    for node in regions:
        found = {a.name: helper.get_attribute_value(a) for a in node.attribute}
        assert {k: found.pop(k) for k in plugin} == plugin
        assert set(found) == expected.get(node.op_type, set())
    weights = {t.name: list(t.dims) for t in final.graph.initializer}
    windowed = next(n for n in regions if n.op_type == "RegionConv" and "conv_3" in n.name)
    assert weights[windowed.input[4]] == [4, 3, 3, 5]  # OHWI


# --- heads, masks, borders -----------------------------------------------------------------------


def test_probabilities_are_made_on_the_map():
    source = run_passes(tiny_model(), [Freeze(1, (48, 72)), FoldConstants()])
    model = scatter_logits(source)
    producers = {o: n for n in model.graph.node for o in n.output}
    scatters = [n for n in model.graph.node if n.op_type == "RegionScatter"]
    assert [producers[n.input[0]].op_type for n in scatters] == ["RegionConv"] * 2
    assert count(model, "Softmax") == count(source, "Softmax") == 3


@pytest.mark.parametrize("batch", [1, None])
def test_masks_are_int32_whatever_made_them(batch):
    size = (48, 72) if batch else None
    model = int32_masks(run_passes(tiny_model(), [Freeze(batch, size), FoldConstants()]))
    types = {
        v.name: v.type.tensor_type.elem_type
        for v in onnx.shape_inference.infer_shapes(model).graph.value_info
    }
    types |= {t.name: t.data_type for t in model.graph.initializer}
    masks = [n.input[1] for n in model.graph.node if n.op_type == "RegionSelect"]
    masks += [n.output[3] for n in model.graph.node if n.op_type == "RegionSelect"]
    assert [types[name] for name in masks] == [TensorProto.INT32] * 4
    assert TensorProto.BOOL not in types.values()


def test_a_mask_that_is_an_input_is_cast_and_others_read_it_as_bool():
    model = region_graph(lambda b: (b.conv(b.entered, CHANNELS, 2), 2))
    graph = model.graph
    hard = next(n.output[3] for n in graph.node if n.op_type == "RegionSelect")
    graph.node.extend(
        [
            helper.make_node("Not", [hard], ["left"]),
            helper.make_node("Cast", ["left"], ["left_float"], to=TensorProto.FLOAT),
            helper.make_node("Add", ["y", "left_float"], ["z"]),
        ]
    )
    graph.output[0].name = "z"
    final = int32_masks(model)
    assert_equal_results(model, final)
    select = next(n for n in final.graph.node if n.op_type == "RegionSelect")
    assert select.input[1] == "active/int32"


def test_uint8_is_at_the_borders_only():
    model = cast_at_borders(tiny_model())
    readers = [n for n in model.graph.node if "image" in n.input]
    assert [n.op_type for n in readers] == ["Cast"]
    producers = {o: n for n in model.graph.node for o in n.output}
    for name in ("labels", "stages"):
        assert producers[name].op_type == "Cast"
    assert count(model, "Slice") == 1  # the crop, before the cast now


def test_uint8_inside_the_network_is_refused():
    model = tiny_model()
    cast = next(n for n in model.graph.node if n.op_type == "Sub")
    model.graph.node.insert(
        list(model.graph.node).index(cast),
        helper.make_node("Cast", [cast.input[0]], ["inside"], "rounded", to=TensorProto.UINT8),
    )
    back = helper.make_node("Cast", ["inside"], ["back"], to=TensorProto.FLOAT)
    model.graph.node.insert(list(model.graph.node).index(cast), back)
    cast.input[0] = "back"
    with pytest.raises(LcTrtError, match="node 'rounded' casts to UINT8 inside the network"):
        lower_tensorrt(run_passes(model, [FoldBatchNorm(region_factors=False)]))
