"""Masks as INT32, in ONNX Runtime before and after."""

from __future__ import annotations

import numpy as np
import onnx
import pytest
from onnx import TensorProto, helper
from region_graphs import CHANNELS, assert_equal_results, region_graph, views
from tiny_networks import tiny_model

from lc_trt.compiler.lower_tensorrt.int32_masks import Int32Masks
from lc_trt.compiler.pass_manager import run_passes
from lc_trt.compiler.passes.fold_constants import FoldConstants
from lc_trt.compiler.passes.freeze import Freeze


@pytest.mark.parametrize("batch", [1, None])
def test_all_masks_become_int32(batch):
    size = (48, 72) if batch else None
    model = run_passes(tiny_model(), [Freeze(batch, size), FoldConstants(), Int32Masks()])
    types = {
        v.name: v.type.tensor_type.elem_type
        for v in onnx.shape_inference.infer_shapes(model).graph.value_info
    }
    types |= {t.name: t.data_type for t in model.graph.initializer}
    selects = views(model, "RegionSelect")
    masks = [s.input("active") for s in selects] + [s.output("hard") for s in selects]
    assert [types[name] for name in masks] == [TensorProto.INT32] * 4
    assert TensorProto.BOOL not in types.values()


def test_masks_are_moved_in_int32():
    model = region_graph(lambda b: (b.conv(b.entered, CHANNELS, 2), 2))
    hard = views(model, "RegionSelect")[0].output("hard")
    rows = onnx.numpy_helper.from_array(np.array([0, 0, 2, 1, 4]), "chosen")
    model.graph.initializer.append(rows)
    model.graph.node.extend(
        [
            helper.make_node("Gather", [hard, "chosen"], ["moved"], axis=2),
            helper.make_node("Cast", ["moved"], ["number"], to=TensorProto.INT32),
            helper.make_node("Cast", ["number"], ["moved_float"], to=TensorProto.FLOAT),
            helper.make_node("Add", ["y", "moved_float"], ["z"]),
        ]
    )
    model.graph.output[0].name = "z"
    final = run_passes(model, [Int32Masks()])
    assert_equal_results(model, final)
    (moved,) = views(final, "Gather")
    assert moved.input("data") == hard
    assert [view.input("input") for view in views(final, "Cast")] == ["active", "moved"]


def test_a_mask_that_is_an_input_is_cast_and_others_read_it_as_bool():
    model = region_graph(lambda b: (b.conv(b.entered, CHANNELS, 2), 2))
    graph = model.graph
    hard = views(model, "RegionSelect")[0].output("hard")
    graph.node.extend(
        [
            helper.make_node("Not", [hard], ["left"]),
            helper.make_node("Cast", ["left"], ["left_float"], to=TensorProto.FLOAT),
            helper.make_node("Add", ["y", "left_float"], ["z"]),
        ]
    )
    graph.output[0].name = "z"
    final = run_passes(model, [Int32Masks()])
    assert_equal_results(model, final)
    assert views(final, "RegionSelect")[0].input("active") == "active/int32"
