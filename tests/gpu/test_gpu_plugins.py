"""Plugin objects, from creator to enqueue, on a GPU."""

from __future__ import annotations

from dataclasses import replace

import numpy as np
import pytest
from plugin_cases import mask_of, valid_part
from plugin_conv_cases import ConvCase, check_plugin_conv

pytestmark = pytest.mark.gpu

CASE = ConvCase.of(128, 192, kernel=(3, 3), size=(3, 38, 63), residual=True, relu=True, scale=0.17)


@pytest.mark.parametrize("dtype", ["float32", "float16", "bfloat16", "int8"])
@pytest.mark.parametrize("prepare", ["new", "clone", "reloaded"])
@pytest.mark.parametrize("share", ["empty", "one", "full", 0.3])
def test_conv_runs(gpu_plugins, dtype, prepare, share):
    preparations = {
        "new": lambda p: p,
        "clone": lambda p: p.clone(),
        "reloaded": lambda p: p.reloaded(),
    }
    check_plugin_conv(gpu_plugins, replace(CASE, dtype=dtype, share=share), preparations[prepare])


@pytest.mark.parametrize("tactic", [1, 2, 3, 4])
@pytest.mark.parametrize("dtype", ["float16", "bfloat16", "int8"])
def test_each_tactic_gives_the_same(gpu_plugins, tactic, dtype):
    case = replace(CASE, tactic=tactic, dtype=dtype)
    check_plugin_conv(gpu_plugins, case, lambda plugin: plugin)


@pytest.mark.parametrize("output", ["int8", "float16", "bfloat16", "float32"])
def test_int8_becomes_any_type(gpu_plugins, output):
    case = replace(CASE, dtype="int8", output=output, residual_dtype=output, factor=1.3)
    check_plugin_conv(gpu_plugins, case, lambda plugin: plugin)


def test_enqueue_is_captured_and_replayed(gpu_plugins):
    """From select to scatter, on the inputs of each replay."""
    harness, (n, h, w), channels = gpu_plugins, (3, 38, 63), 24
    rng = np.random.default_rng(0)
    shape, size = (n, 1, h, w), n * h * w
    confidence = harness.put(np.zeros(shape, np.float32))
    active = harness.put(np.ones(shape, bool))
    rho = harness.put(np.asarray(0.5, np.float32))
    dense_map = rng.standard_normal((n, channels, h, w)).astype(np.float32)
    base = harness.put(dense_map)
    region = [
        harness.poisoned((size,), np.int32), harness.poisoned((n, h, w), np.int32),
        harness.poisoned((1,), np.int32), harness.poisoned(shape, np.bool_),
    ]  # fmt: skip
    rows, _, count, _ = region
    x = harness.poisoned((size, channels), np.float32)
    y = harness.poisoned(base.shape, np.float32)
    steps = [
        (harness.plugin("RegionSelect"), [confidence, active, rho], region),
        (harness.plugin("RegionGather"), [base, rows, count], [x]),
        (harness.plugin("RegionScatter"), [x, rows, count, base], [y]),
    ]
    for plugin, inputs, outputs in steps:
        plugin.run(inputs, outputs)
    with harness.captured() as graph:
        for plugin, inputs, outputs in steps:
            plugin.enqueue(inputs, outputs)
    for seed, share in enumerate([0.1, "full", "empty", 0.6]):
        hard = mask_of(share, (n, h, w), seed)
        confidence.set(1.0 - hard[:, None].astype(np.float32))
        x.set(np.full(x.bytes, 0xFF, np.uint8).view(np.float32).reshape(x.shape))
        graph.replay()
        assert count.numpy().tolist() == [hard.sum()]
        gathered = np.moveaxis(dense_map, 1, 3)[hard]
        assert np.array_equal(valid_part(x, int(hard.sum())), gathered)
        assert np.array_equal(y.numpy(), dense_map)
