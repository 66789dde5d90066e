"""Plugin objects from creator to enqueue, as TensorRT uses them, in the emulator."""

from __future__ import annotations

import numpy as np
import pytest
from plugin_cases import dense, features, mask_of, padded, rows_of, valid_part
from plugin_conv_cases import ConvCase, check_plugin_conv
from plugin_harness import (
    BOOL,
    FLOAT,
    HALF,
    INT8,
    INT32,
    Harness,
    HarnessError,
    Plugin,
    tensor,
)
from torch.nn import functional

from lc_trt.ir.region_ops import OPERATORS

WINDOW = {"kernel_shape": [3, 3], "dilations": [1, 1]}
ATTRIBUTES = {"RegionConv": WINDOW, "RegionMaxPool": WINDOW, "RegionQuantize": {"scale": 0.5}}
PLUGINS = tuple(sorted(OPERATORS))
COUNT, INDEX, ROWS = tensor(INT32, 1), tensor(INT32, 2, 6, 8), tensor(INT32, 96)


def make(harness: Harness, name: str) -> Plugin:
    return harness.plugin(name, ATTRIBUTES.get(name))


def conv_tensors(dtype: int = HALF, segments: int = 1, channels: int = 16):
    """Inputs and outputs of a 3x3 from `channels` a segment to 24."""
    rows = [tensor(dtype, 96, channels)] * segments
    weight = tensor(dtype, 24, channels * segments, 3, 3)
    inputs = [*rows, ROWS, INDEX, COUNT, weight, tensor(dtype, 24), tensor(dtype, 1, 1)]
    return inputs, [tensor(dtype, 96, 24)]


def select_tensors(dtype: int = FLOAT, mask: int = BOOL):
    shape = (2, 1, 6, 8)
    inputs = [tensor(dtype, *shape), tensor(mask, *shape), tensor(dtype)]
    return inputs, [ROWS, INDEX, COUNT, tensor(mask, *shape)]


def tensors_of(name: str, dtype: int = FLOAT):
    """Inputs and outputs that each plugin takes."""
    x, dense_map = tensor(dtype, 96, 16), tensor(dtype, 2, 16, 6, 8)
    return {
        "RegionSelect": lambda: select_tensors(dtype),
        "RegionGather": lambda: ([dense_map, ROWS, COUNT], [x]),
        "RegionRestrict": lambda: ([x, INDEX, ROWS, COUNT], [x]),
        "RegionConv": lambda: conv_tensors(dtype),
        "RegionMaxPool": lambda: ([x, ROWS, INDEX, COUNT], [x]),
        "RegionQuantize": lambda: ([x, COUNT], [tensor(INT8, 96, 16)]),
        "RegionScatter": lambda: ([x, ROWS, COUNT, dense_map], [dense_map]),
    }[name]()


def test_there_is_a_plugin_for_each_region_operator_and_quantisation(
    emulated_plugins, emulator_path
):
    assert sorted(emulated_plugins.open_plugins(emulator_path)) == sorted(PLUGINS)


@pytest.mark.parametrize("name", PLUGINS)
def test_identity(emulated_plugins, name):
    plugin = make(emulated_plugins, name)
    assert plugin.identity()[:3] == (name, "1", "lc_trt")


def test_unknown_sizes_are_accepted(emulated_plugins):
    inputs, outputs = conv_tensors()
    unknown = [tensor(t.type, *([-1] * t.rank)) for t in inputs]
    unknown[0], unknown[4] = tensor(HALF, -1, 16), inputs[4]
    make(emulated_plugins, "RegionConv").configure(unknown, outputs)


@pytest.mark.parametrize(
    ("at", "wrong", "message"),
    [
        (0, tensor(HALF, 96, 15), "input channels of weight is 16, expected 15"),
        (0, tensor(HALF, 1, 96, 16), r"x has the shape \[1, 96, 16\], expected 2"),
        (0, tensor(HALF, 96, -1), "channels of x is not known"),
        (1, tensor(INT32, 1, 96), r"rows has the shape \[1, 96\], expected 1"),
        (2, tensor(INT32, 96), r"index has the shape \[96\], expected 3"),
        (3, tensor(INT32, 2), "count has the shape"),
        (4, tensor(HALF, 24, 16, 3, 1), "width of weight is 1, expected 3"),
        (4, tensor(HALF, 24, 16, 5, 3), "height of weight is 5, expected 3"),
        (5, tensor(HALF, 23), "length of bias is 23, expected 24"),
        (6, tensor(HALF, 96, 23), "channels of residual is 23, expected 24"),
        (6, tensor(HALF, 95, 24), "rows of residual is 95, expected 96, the length of rows"),
        (6, tensor(HALF, 24), "residual has the shape"),
    ],
)
def test_conv_refuses_shapes_with_a_reason(emulated_plugins, at, wrong, message):
    inputs, outputs = conv_tensors()
    inputs[at] = wrong
    plugin = make(emulated_plugins, "RegionConv")
    for refuse in (plugin.configure, plugin.shape_change):
        with pytest.raises(HarnessError, match="lc_trt::RegionConv: .*" + message):
            refuse(inputs, outputs)


@pytest.mark.parametrize(
    ("name", "at", "wrong", "message"),
    [
        ("RegionSelect", 0, tensor(FLOAT, 2, 3, 6, 8), "channels is 3, expected 1"),
        ("RegionSelect", 1, tensor(BOOL, 2, 1, 6, 7), "size of active is 7, expected 8"),
        ("RegionSelect", 2, tensor(FLOAT, 2), "rho has the shape"),
        ("RegionGather", 0, tensor(FLOAT, 96, 16), "x has the shape"),
        ("RegionRestrict", 1, tensor(INT32, 96), "index has the shape"),
        ("RegionMaxPool", 0, tensor(FLOAT, 1, 95, 16), "x has the shape"),
        ("RegionScatter", 0, tensor(FLOAT, 96, 15), "channels of x is 15, expected 16"),
    ],
)
def test_the_others_refuse_shapes_with_a_reason(emulated_plugins, name, at, wrong, message):
    inputs, outputs = tensors_of(name)
    inputs[at] = wrong
    with pytest.raises(HarnessError, match=f"lc_trt::{name}: .*{message}"):
        make(emulated_plugins, name).configure(inputs, outputs)


def test_the_rows_of_x_are_those_of_the_region_in_a_1x1_and_equal_in_number_elsewhere(
    emulated_plugins,
):
    inputs, outputs = conv_tensors(segments=2)
    inputs[:2] = [tensor(HALF, 24, 16)] * 2  # of a map with half the height and width
    make(emulated_plugins, "RegionConv").configure(inputs, outputs)
    inputs[1] = tensor(HALF, 25, 16)
    with pytest.raises(HarnessError, match="rows of x is 25, expected 24, that of the first x"):
        make(emulated_plugins, "RegionConv").configure(inputs, outputs)
    inputs[1], inputs[5] = inputs[0], tensor(HALF, 24, 32, 1, 1)
    plugin = emulated_plugins.plugin("RegionConv", {"kernel_shape": [1, 1], "dilations": [1, 1]})
    with pytest.raises(HarnessError, match="rows of x is 24, expected 96, the length of rows"):
        plugin.configure(inputs, outputs)


@pytest.mark.parametrize("inputs", [6, 15])
def test_a_wrong_number_of_inputs_is_refused(emulated_plugins, inputs):
    with pytest.raises(HarnessError, match=f"cannot take {inputs} inputs"):
        make(emulated_plugins, "RegionConv").output_types([FLOAT] * inputs)


@pytest.mark.parametrize(
    ("name", "attributes", "message"),
    [
        ("RegionConv", {"dilations": [1, 1]}, "attribute kernel_shape is missing"),
        ("RegionConv", WINDOW | {"kernel_shape": [3]}, "kernel_shape has 1 values, expected 2"),
        ("RegionConv", WINDOW | {"kernel_shape": [11, 13]}, "more than 121 positions"),
        ("RegionConv", WINDOW | {"kernel_shape": [65536, 65536]}, "more than 121 positions"),
        ("RegionConv", WINDOW | {"dilations": [1, 0]}, "dilations holds 0, expected positive"),
        ("RegionConv", WINDOW | {"dilations": [1.0, 1.0]}, "dilations does not hold integers"),
        ("RegionConv", WINDOW | {"activation": 2}, "activation is 2, expected 0 or 1"),
        ("RegionConv", WINDOW | {"residual_scale": 1}, "residual_scale is not one float"),
        ("RegionMaxPool", {"kernel_shape": [3, 3]}, "attribute dilations is missing"),
    ],
)
def test_attributes_are_refused_with_a_reason(emulated_plugins, name, attributes, message):
    with pytest.raises(HarnessError, match=f"lc_trt::{name}: .*{message}"):
        emulated_plugins.plugin(name, attributes)


def test_attributes_may_be_int64_and_others_are_ignored(emulated_plugins):
    sixty_four = {key: np.array(value, np.int64) for key, value in WINDOW.items()}
    fields = sixty_four | {"plugin_version": np.array([49, 0], np.int32)}
    text = emulated_plugins.plugin("RegionConv", fields).identity()[3]
    assert text.startswith("kernel_shape=3,3 dilations=1,1 activation=0")


SLICED = WINDOW | {
    "activation": 1, "residual_scale": 0.17, "weight_layout": 1,
    "channel_begin": [0, 8], "channel_end": [8, 16],
}  # fmt: skip


@pytest.mark.parametrize("name", PLUGINS)
def test_a_reloaded_plugin_has_the_same_attributes(emulated_plugins, name):
    attributes = SLICED if name == "RegionConv" else ATTRIBUTES.get(name)
    plugin = emulated_plugins.plugin(name, attributes)
    assert plugin.reloaded().identity() == plugin.identity() == plugin.clone().identity()


@pytest.mark.parametrize(
    ("dtype", "kernel", "tactics"),
    [(HALF, 3, [1, 2, 3, 4]), (FLOAT, 3, [1, 2]), (HALF, 7, [3, 4]), (HALF, 11, [4])],
)
def test_tactics_are_the_tiles_that_fit(emulated_plugins, dtype, kernel, tactics):
    plugin = emulated_plugins.plugin("RegionConv", WINDOW | {"kernel_shape": [kernel, kernel]})
    inputs, outputs = conv_tensors(dtype)
    inputs[4] = tensor(dtype, 24, 16, kernel, kernel)
    plugin.configure(inputs, outputs)
    assert plugin.tactics() == tactics


def test_enqueue_before_a_shape_is_refused(emulated_plugins):
    plugin = make(emulated_plugins, "RegionGather")
    region = emulated_plugins.region(mask_of(0.5, (2, 6, 8)))
    x = emulated_plugins.put(np.zeros((2, 16, 6, 8), np.float32))
    y = emulated_plugins.poisoned((96, 16), np.float32)
    with pytest.raises(HarnessError, match="enqueue came before onShapeChange"):
        plugin.enqueue([x, region.rows, region.count], [y])


PREPARATIONS = {
    "new": lambda plugin: plugin,
    "clone": lambda plugin: plugin.clone(),
    "reloaded": lambda plugin: plugin.reloaded(),
}


@pytest.mark.parametrize("prepare", PREPARATIONS)
@pytest.mark.parametrize(
    "case",
    [
        ConvCase.of(16, 24, kernel=(3, 3), residual=True, relu=True, scale=0.17),
        ConvCase.of(7, 5, kernel=(3, 3), layout=0, dtype="float32", dilation=(2, 2)),
        ConvCase(((24, 8, 24), (16, 0, 8)), 24, bias_dtype="float32", tactic=4),
        ConvCase.of(16, 24, kernel=(3, 3), source="map", residual=True),
        ConvCase.of(16, 24, kernel=(3, 3), source="parents", residual=True),
    ],
    ids=["residual", "onnx-layout", "segments", "map", "parents"],
)
def test_conv_runs(emulated_plugins, case, prepare):
    check_plugin_conv(emulated_plugins, case, PREPARATIONS[prepare])


@pytest.mark.parametrize("mask_dtype", ["bool", "int32"])
def test_the_other_plugins_run_one_after_another(emulated_plugins, mask_dtype):
    """Select, gather, pool, a smaller region, scatter: the way through a cascade's stages."""
    rng = np.random.default_rng(0)
    size, channels = (2, 6, 8), 5
    confidence = rng.random((2, 1, 6, 8), np.float32)
    base = rng.standard_normal((2, channels, 6, 8)).astype(np.float32)

    def run(name, inputs, shapes):
        outputs = [emulated_plugins.poisoned(shape, dtype) for shape, dtype in shapes]
        make(emulated_plugins, name).run(inputs, outputs)
        return outputs

    def select(active, rho):
        shapes = [((96,), np.int32), (size, np.int32), ((1,), np.int32), ((2, 1, 6, 8), mask_dtype)]
        rho = emulated_plugins.put(np.asarray(rho, np.float32))
        return run("RegionSelect", [emulated_plugins.put(confidence), active, rho], shapes)

    rows, index, count, hard = select(emulated_plugins.put(np.ones((2, 1, 6, 8), mask_dtype)), 0.6)
    outer = confidence[:, 0] <= 0.6
    assert np.array_equal(hard.numpy()[:, 0], outer)
    features_at = ((96, channels), np.float32)
    (x,) = run("RegionGather", [emulated_plugins.put(base), rows, count], [features_at])
    (pooled,) = run("RegionMaxPool", [x, rows, index, count], [features_at])
    inner_rows, _, inner_count, _ = select(hard, 0.3)
    inner = confidence[:, 0] <= 0.3
    (narrow,) = run("RegionRestrict", [pooled, index, inner_rows, inner_count], [features_at])
    (found,) = run(
        "RegionScatter",
        [narrow, inner_rows, inner_count, emulated_plugins.put(base)],
        [(base.shape, np.float32)],
    )
    entered = np.moveaxis(base, 1, 3)[outer]
    full = functional.pad(dense(entered, outer), (1, 1, 1, 1))
    pools = rows_of(functional.max_pool2d(full, 3, 1), inner)
    assert np.array_equal(valid_part(narrow, int(inner.sum())), pools.astype(np.float32))
    expected = np.moveaxis(base, 1, 3).copy()
    expected[inner] = pools
    assert np.array_equal(np.moveaxis(found.numpy(), 1, 3), expected)


def test_poison_is_not_a_value_by_chance(emulated_plugins):
    """What the checks lean on: the padding is NaN, and unwritten outputs are found."""
    region = emulated_plugins.region(mask_of(0.5, (1, 4, 4)))
    rows, x = features(emulated_plugins, np.random.default_rng(0), region, 3, "float16")
    assert np.isnan(x.numpy()[len(rows) :]).all()
    with pytest.raises(AssertionError, match="beyond count"):
        valid_part(padded(emulated_plugins, rows, region.max_rows), len(rows) - 1)
