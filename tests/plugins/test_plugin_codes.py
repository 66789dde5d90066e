"""The plugins on INT8 rows as TensorRT drives them, from creator to enqueue, on the emulator."""

from __future__ import annotations

import numpy as np
import pytest
from plugin_cases import check_quantize, mask_of, padded, valid_part, values
from plugin_conv_cases import ConvCase, check_plugin_conv
from plugin_harness import (
    BF16,
    FLOAT,
    HALF,
    INT8,
    INT32,
    Harness,
    HarnessError,
    Plugin,
    Tensor,
    tensor,
)

WINDOW = {"kernel_shape": [3, 3], "dilations": [1, 1]}
COUNT, INDEX, ROWS = tensor(INT32, 1), tensor(INT32, 2, 6, 8), tensor(INT32, 96)
OUTPUTS = {0: INT8, 1: FLOAT, 2: HALF, 3: BF16}  # by output_type
# Places behind one x.
WEIGHT, SCALE, BIAS, RESIDUAL = 4, 5, 6, 7


def conv(harness: Harness, **more: object) -> Plugin:
    return harness.plugin("RegionConv", WINDOW | more)


def conv_tensors(output: int = INT8, segments: int = 1) -> tuple[list[Tensor], list[Tensor]]:
    """Inputs and outputs of a 3x3 from 16 channels a segment to 24."""
    x, weight = tensor(INT8, 96, 16), tensor(INT8, 24, 16 * segments, 3, 3)
    scale, bias, residual = tensor(FLOAT, 24), tensor(FLOAT, 24), tensor(INT8, 1, 1)
    inputs = [*[x] * segments, ROWS, INDEX, COUNT, weight, scale, bias, residual]
    return inputs, [tensor(output, 96, 24)]


@pytest.mark.parametrize("segments", [1, 2, 8])
@pytest.mark.parametrize("output_type", OUTPUTS)
def test_the_output_s_type_is_an_attribute(emulated_plugins, output_type, segments):
    plugin = conv(emulated_plugins, output_type=output_type)
    inputs, outputs = conv_tensors(OUTPUTS[output_type], segments=segments)
    assert plugin.output_types([t.type for t in inputs]) == [OUTPUTS[output_type]]
    assert plugin.output_shapes(inputs, 1) == [(96, 24)]
    plugin.configure(inputs, outputs)
    plugin.shape_change(inputs, outputs)


@pytest.mark.parametrize(
    ("at", "wrong", "message"),
    [
        (0, tensor(INT8, 96, 15), "input channels of weight is 16, expected 15"),
        (0, tensor(INT8, 1, 96, 16), r"x has the shape \[1, 96, 16\], expected 2"),
        (WEIGHT, tensor(INT8, 24, 16), r"weight has the shape \[24, 16\], expected 4"),
        (SCALE, tensor(FLOAT, 23), "length of scale is 23, expected 24"),
        (SCALE, tensor(FLOAT, 1, 24), r"scale has the shape \[1, 24\], expected 1"),
        (BIAS, tensor(FLOAT, 23), "length of bias is 23, expected 24"),
        (RESIDUAL, tensor(INT8, 96, 23), "channels of residual is 23, expected 24"),
    ],
)
def test_shapes_are_refused_with_a_reason(emulated_plugins, at, wrong, message):
    inputs, outputs = conv_tensors()
    inputs[at] = wrong
    plugin = conv(emulated_plugins)
    for refuse in (plugin.configure, plugin.shape_change):
        with pytest.raises(HarnessError, match="lc_trt::RegionConv: .*" + message):
            refuse(inputs, outputs)


def test_weight_without_four_dimensions_has_no_output_shape(emulated_plugins):
    inputs, _ = conv_tensors()
    inputs[WEIGHT] = tensor(INT8, 24, 144)
    with pytest.raises(HarnessError, match="weight has not 4 dimensions"):
        conv(emulated_plugins).output_shapes(inputs, 1)


def test_int32_overflow_is_refused(emulated_plugins):
    inputs, outputs = conv_tensors()
    for channels, fits in ((14563, True), (14564, False)):
        inputs[0], inputs[WEIGHT] = tensor(INT8, 96, channels), tensor(INT8, 24, channels, 3, 3)
        if fits:
            conv(emulated_plugins).configure(inputs, outputs)
            continue
        with pytest.raises(HarnessError, match=r"sums 131076 products .* INT32 holds 131071"):
            conv(emulated_plugins).configure(inputs, outputs)


@pytest.mark.parametrize(("kind", "inputs"), [(INT8, 7), (FLOAT, 15), (HALF, 15)])
def test_a_wrong_number_of_inputs_for_the_type_is_refused(emulated_plugins, kind, inputs):
    with pytest.raises(HarnessError, match=f"cannot take {inputs} inputs where x is"):
        conv(emulated_plugins).output_types([kind] * inputs)


@pytest.mark.parametrize(
    ("attributes", "message"),
    [
        ({"output_type": 4}, "output_type is 4, expected 0, 1, 2 or 3"),
        ({"output_type": -1}, "output_type is -1, expected 0, 1, 2 or 3"),
        ({"residual_factor": 1}, "residual_factor is not one float"),
    ],
)
def test_attributes_are_refused_with_a_reason(emulated_plugins, attributes, message):
    with pytest.raises(HarnessError, match=message):
        conv(emulated_plugins, **attributes)


@pytest.mark.parametrize(
    ("attributes", "message"),
    [
        ({"output_type": 2}, "output_type is 2, expected 0: x is not INT8"),
        ({"residual_factor": 0.5}, r"residual_factor is 0\.5.*, expected 1: x is not INT8"),
    ],
)
def test_floating_point_rows_refuse_int8_attributes(emulated_plugins, attributes, message):
    inputs, _ = conv_tensors()
    inputs = [tensor(HALF if t.type in (INT8, FLOAT) else t.type, *t.sizes[: t.rank])
              for t in (*inputs[:SCALE], *inputs[BIAS:])]  # fmt: skip
    with pytest.raises(HarnessError, match=message):
        conv(emulated_plugins, **attributes).configure(inputs, [tensor(HALF, 96, 24)])


def test_tactics_are_the_tiles_of_tensor_cores(emulated_plugins):
    plugin = conv(emulated_plugins)
    plugin.configure(*conv_tensors())
    assert plugin.tactics() == [1, 2, 3, 4]


def test_a_reloaded_plugin_has_the_same_attributes(emulated_plugins):
    plugin = conv(emulated_plugins, output_type=2, residual_factor=0.3)
    assert "residual_factor=0.3" in plugin.identity()[3]
    assert "output_type=2" in plugin.identity()[3]
    assert plugin.reloaded().identity() == plugin.identity() == plugin.clone().identity()


PREPARATIONS = {
    "new": lambda plugin: plugin,
    "clone": lambda plugin: plugin.clone(),
    "reloaded": lambda plugin: plugin.reloaded(),
}
CODES = ConvCase.of(32, 24, kernel=(3, 3), dtype="int8", relu=True, scale=0.17, factor=1.3)


@pytest.mark.parametrize("prepare", PREPARATIONS)
@pytest.mark.parametrize(
    "more",
    [
        {"residual": True},
        {"residual": True, "residual_dtype": "float16", "output": "float16"},
        {"output": "float32", "layout": 0},
        {"segments": ((48, 16, 48), (16, 0, 16), (5, 1, 4)), "kernel": (1, 1), "tactic": 4},
    ],
    ids=["residual", "float16", "onnx-layout", "segments"],
)
def test_conv_runs(emulated_plugins, more, prepare):
    case = ConvCase(**{**vars(CODES), **more})
    check_plugin_conv(emulated_plugins, case, PREPARATIONS[prepare])


@pytest.mark.parametrize(
    ("attributes", "message"),
    [
        ({}, "attribute scale is missing"),
        ({"scale": 0.0}, "scale is 0.* expected a positive number"),
        ({"scale": -1.0}, "scale is -1.* expected a positive number"),
        ({"scale": float("inf")}, "scale is inf, expected a positive number"),
        ({"scale": float("nan")}, "scale is nan, expected a positive number"),
        ({"scale": 1}, "scale is not one float"),
    ],
)
def test_an_invalid_scale_is_refused(emulated_plugins, attributes, message):
    with pytest.raises(HarnessError, match=f"lc_trt::RegionQuantize: .*{message}"):
        emulated_plugins.plugin("RegionQuantize", attributes)


@pytest.mark.parametrize("prepare", PREPARATIONS)
def test_int8_rows_pass_through_a_stage(emulated_plugins, prepare):
    """Gather, pool, narrow: the codes that are there, moved and compared, and nothing else."""
    harness, size, channels = emulated_plugins, (2, 6, 8), 21
    rng = np.random.default_rng(0)
    outer = mask_of(0.7, size)
    inner = outer & mask_of(0.5, size, seed=1)
    region, smaller = harness.region(outer), harness.region(inner)
    dense_map = values(rng, (2, channels, 6, 8), "int8")

    def run(name, inputs, attributes=None):
        out = harness.poisoned((96, channels), np.int8)
        PREPARATIONS[prepare](harness.plugin(name, attributes)).run(inputs, [out])
        return out

    x = run("RegionGather", [harness.put(dense_map), region.rows, region.count])
    last = np.moveaxis(dense_map, 1, 3)
    assert np.array_equal(valid_part(x, region.size), last[outer])
    pooled = run("RegionMaxPool", [x, region.rows, region.index, region.count], WINDOW)
    inside = np.pad(np.where(outer[..., None], last, 0), ((0, 0), (1, 1), (1, 1), (0, 0)))
    shifted = [inside[:, i : i + 6, j : j + 8] for i in range(3) for j in range(3)]
    expected = np.max(shifted, 0)
    assert np.array_equal(valid_part(pooled, region.size), expected[outer])
    narrow = run("RegionRestrict", [pooled, region.index, smaller.rows, smaller.count])
    assert np.array_equal(valid_part(narrow, smaller.size), expected[inner])


@pytest.mark.parametrize("prepare", PREPARATIONS)
@pytest.mark.parametrize("dtype", ["float32", "float16"])
def test_quantize_runs(emulated_plugins, dtype, prepare, monkeypatch):
    def through_the_plugin(x, count, y, scale):
        plugin = emulated_plugins.plugin("RegionQuantize", {"scale": scale})
        PREPARATIONS[prepare](plugin).run([x, count], [y])

    monkeypatch.setattr(emulated_plugins, "quantize", through_the_plugin)
    check_quantize(emulated_plugins, mask_of(0.5, (2, 6, 8)), 9, dtype, 0.1)


def test_nan_is_quantised(emulated_plugins):
    x = padded(emulated_plugins, np.array([[np.nan, np.inf, -np.inf]], np.float32), 2)
    y = emulated_plugins.poisoned((2, 3), np.int8)
    count = emulated_plugins.put(np.array([1], np.int32))
    emulated_plugins.plugin("RegionQuantize", {"scale": 1.0}).run([x, count], [y])
    assert valid_part(y, 1).tolist() == [[-128, 127, -128]]
