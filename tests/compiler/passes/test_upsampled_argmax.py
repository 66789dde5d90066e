"""Interpolating and comparing class by class equals Resize and ArgMax."""

from __future__ import annotations

import numpy as np
import onnx
import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st
from onnx import TensorProto, helper, numpy_helper
from pass_cases import reasons
from tiny_networks import session

from lc_trt.compiler.pass_manager import run_passes
from lc_trt.compiler.passes.upsampled_argmax import (
    UpsampledArgMax,
    column_group,
    interpolation,
)
from lc_trt.runtime.engines.openvino import core


def model(shape, scale, **changes):
    resize = {"mode": "linear", "coordinate_transformation_mode": "half_pixel"} | changes
    nodes = [
        helper.make_node("Resize", ["x", "", "scales"], ["big"], name="resize", **resize),
        helper.make_node("ArgMax", ["big"], ["y"], name="best", axis=1, keepdims=0),
    ]
    scales = numpy_helper.from_array(np.array([1, 1, *scale], np.float32), "scales")
    out = [shape[0], *(int(np.floor(n * s)) for n, s in zip(shape[2:], scale, strict=True))]
    graph = helper.make_graph(
        nodes,
        "g",
        [helper.make_tensor_value_info("x", TensorProto.FLOAT, shape)],
        [helper.make_tensor_value_info("y", TensorProto.INT64, out)],
        [scales],
    )
    return helper.make_model(graph, opset_imports=[helper.make_opsetid("", 18)], ir_version=10)


def operators(network):
    return {n.op_type for n in network.graph.node}


def ort(network, x):
    return session(network).run(None, {"x": x})[0]


@settings(max_examples=25, deadline=None)
@given(
    classes=st.integers(2, 23),
    height=st.integers(1, 9),
    width=st.integers(1, 26),
    scale=st.tuples(st.sampled_from([1, 2, 3, 4, 8]), st.sampled_from([1, 2, 3, 4, 8])),
    seed=st.integers(0, 99),
)
def test_the_classes_are_those_of_resize_and_argmax(classes, height, width, scale, seed):
    source = model([1, classes, height, width], scale)
    changed = run_passes(source, [UpsampledArgMax()])
    onnx.checker.check_model(changed, full_check=True)
    assert "ArgMax" not in operators(changed) and "Resize" not in operators(changed)
    x = np.random.default_rng(seed).normal(size=(1, classes, height, width)).astype(np.float32)
    found, expected = ort(changed, x), ort(source, x)
    assert found.dtype == expected.dtype and found.shape == expected.shape
    # Two classes may be equal to rounding.
    big = torch.nn.functional.interpolate(
        torch.from_numpy(x).double(), scale_factor=scale, mode="bilinear", align_corners=False
    ).numpy()
    taken = np.take_along_axis(big, found[:, None], 1)[:, 0]
    np.testing.assert_allclose(taken, big.max(1), atol=1e-5)


@pytest.mark.parametrize(
    ("height", "scale"),
    [
        (5, (1.5, 2.5)),  # leaves a part of a pixel: positions go by the scale, not by both sizes
        (5, (2, 1.5)),
        (4, (1.5, 2)),  # rows of the map lie differently between those it is upsampled to
    ],
)
def test_other_scales_are_left(height, scale):
    source = model([1, 5, height, 7], scale)
    x = np.random.default_rng(0).normal(size=(1, 5, height, 7)).astype(np.float32)
    np.testing.assert_array_equal(ort(run_passes(source, [UpsampledArgMax()]), x), ort(source, x))
    assert operators(run_passes(source, [UpsampledArgMax()])) == {"Resize", "ArgMax"}


def test_ties_go_to_the_first_class_and_nan_gives_any():
    changed = run_passes(model([1, 11, 3, 4], (8, 8)), [UpsampledArgMax()])
    assert (ort(changed, np.ones((1, 11, 3, 4), np.float32)) == 0).all()
    assert ort(changed, np.full((1, 11, 3, 4), np.nan, np.float32)).max() < 11


def test_openvino_computes_the_same():
    changed = run_passes(model([1, 21, 38, 63], (8, 8)), [UpsampledArgMax()])
    x = np.random.default_rng(0).normal(size=(1, 21, 38, 63)).astype(np.float32)
    network = core().compile_model(
        core().read_model(changed.SerializeToString()), "CPU", {"INFERENCE_PRECISION_HINT": "f32"}
    )
    assert (network({"x": x})[0] == ort(changed, x)).mean() > 0.9999


@pytest.mark.parametrize(
    ("shape", "changes"),
    [
        ([2, 5, 4, 4], {}),  # several images: a split would copy
        ([1, 5, 4, 4], {"mode": "nearest"}),
        ([1, 5, 4, 4], {"mode": "cubic"}),
        ([1, 5, 4, 4], {"coordinate_transformation_mode": "align_corners"}),
        ([1, 5, 4, 4], {"antialias": 1}),
    ],
)
def test_other_resizes_are_left(shape, changes):
    source = model(shape, (2, 2), **changes)
    assert operators(run_passes(source, [UpsampledArgMax()])) == {"Resize", "ArgMax"}


@pytest.mark.parametrize(
    ("source", "reason"),
    [
        (model([1, 5, 4, 4], (1.5, 2)), "'resize' before it resizes 4 rows to 6, not a multiple"),
        (model([1, 5, 5, 7], (2, 1.5)), "has scales that are not the ratio of the sizes"),
        (model([2, 5, 4, 4], (2, 2)), "'resize' before it has a batch of 2, not 1"),
        (
            model([1, 5, 4, 4], (2, 2), mode="nearest"),
            "is not bilinear with half-pixel coordinates",
        ),
    ],
)
def test_argmax_that_is_left_has_a_reason(source, reason):
    assert reason in reasons(source, UpsampledArgMax())["best"]


def test_a_resize_with_another_reader_is_left():
    source = model([1, 5, 4, 4], (2, 2))
    source.graph.output.append(helper.make_tensor_value_info("big", TensorProto.FLOAT, None))
    found = reasons(source, UpsampledArgMax())
    assert found == {"best": "'resize' before it is read 2 times"}


@pytest.mark.parametrize(("given_size", "target_size"), [(1, 8), (5, 40), (7, 11), (9, 3)])
def test_interpolation_is_torchs(given_size, target_size):
    x = np.random.default_rng(1).normal(size=given_size)
    expected = torch.nn.functional.interpolate(
        torch.from_numpy(x)[None, None], size=target_size, mode="linear", align_corners=False
    )
    np.testing.assert_allclose(
        interpolation(given_size, target_size) @ x, expected[0, 0].numpy(), atol=1e-6
    )


def test_columns_are_interpolated_in_groups_of_equal_size():
    assert [column_group(width, 4 * width) for width in (120, 60, 63, 64, 7, 1)] == [
        8, 10, 9, 8, 7, 1,
    ]  # fmt: skip
    assert column_group(120, 500) == 120  # no multiple: weights differ from group to group
