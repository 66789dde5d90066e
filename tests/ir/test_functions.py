"""Each region operator's function body, run by ONNX Runtime, against the PyTorch twin."""

from __future__ import annotations

import numpy as np
import pytest
import torch
from function_cases import BOOL, FLOAT, INT, call, described, masks, windows
from hypothesis import given
from hypothesis import strategies as st
from torch import nn

from lc_trt.ir.region_ops import EXCHANGE_OPERATORS


@pytest.mark.parametrize("mask_type", [bool, np.int32])
@given(mask=masks, seed=st.integers(0, 999))
def test_select_takes_active_pixels_up_to_rho(mask_type, mask, seed):
    rng = np.random.default_rng(seed)
    confidence = rng.random(mask.shape, np.float32)
    confidence[rng.random(mask.shape) < 0.1] = np.nan
    rho = np.float32(0.5)
    confidence[rng.random(mask.shape) < 0.1] = rho
    rows, index, count, hard = call(
        "RegionSelect",
        {"confidence": confidence, "active": mask.astype(mask_type), "rho": np.asarray(rho)},
        {
            "rows": (INT, 1), "index": (INT, 3), "count": (INT, 1),
            "hard": (BOOL if mask_type is bool else INT, 4),
        },
    )  # fmt: skip
    assert hard.dtype == mask_type
    with np.errstate(invalid="ignore"):
        expected = mask & ~(confidence > rho)
    assert np.array_equal(hard, expected)
    assert np.array_equal(rows, np.flatnonzero(expected))
    assert count.tolist() == [expected.sum()]
    assert index.shape == (mask.shape[0], *mask.shape[2:])
    numbered = np.zeros(mask.size, np.int32)
    numbered[rows] = np.arange(1, len(rows) + 1)
    assert np.array_equal(index.ravel(), numbered)


@given(mask=masks, window=windows, channels=st.sampled_from([1, 5]), seed=st.integers(0, 999))
@pytest.mark.parametrize("residual", [False, True])
def test_conv(mask, window, channels, residual, seed):
    (kh, kw), dilation = window
    torch.manual_seed(seed)
    region, rows, index, count = described(mask)
    conv = nn.Conv2d(channels, 4, (kh, kw), dilation=dilation)
    x = torch.randn(len(rows), channels)
    skip = torch.randn(len(rows), 4)
    with torch.no_grad():
        expected = region.conv(x, conv)
        if residual:
            expected = torch.relu(0.3 * expected + skip)
    (result,) = call(
        "RegionConv",
        {
            "x": x.numpy(), "rows": rows, "index": index, "count": count,
            "weight": conv.weight.detach().numpy(), "bias": conv.bias.detach().numpy(),
            "residual": skip.numpy() if residual else np.zeros((1, 1), np.float32),
        },
        {"y": (FLOAT, 2)},
        kernel_shape=[kh, kw], dilations=list(dilation),
        **({"activation": 1, "residual_scale": 0.3} if residual else {}),
    )  # fmt: skip
    np.testing.assert_allclose(result, expected.numpy(), atol=1e-5)


@given(mask=masks, dilation=st.sampled_from([1, 2, 4]), seed=st.integers(0, 999))
def test_max_pool(mask, dilation, seed):
    region, rows, index, count = described(mask)
    x = np.random.default_rng(seed).random((len(rows), 3), np.float32)
    (result,) = call(
        "RegionMaxPool",
        {"x": x, "rows": rows, "index": index, "count": count},
        {"y": (FLOAT, 2)},
        kernel_shape=[3, 3],
        dilations=[dilation, dilation],
    )
    np.testing.assert_array_equal(result, region.max_pool(torch.from_numpy(x), 3, dilation).numpy())


@given(mask=masks, seed=st.integers(0, 999))
def test_gather_and_scatter(mask, seed):
    region, rows, _, count = described(mask)
    rng = np.random.default_rng(seed)
    n, _, h, w = mask.shape
    base = rng.random((n, 3, h, w), np.float32)
    (gathered,) = call("RegionGather", {"x": base, "rows": rows, "count": count}, {"y": (FLOAT, 2)})
    np.testing.assert_array_equal(gathered, region.gather(torch.from_numpy(base)).numpy())
    x = rng.random((len(rows), 3), np.float32)
    (written,) = call(
        "RegionScatter", {"x": x, "rows": rows, "count": count, "base": base}, {"y": (FLOAT, 4)}
    )
    expected = region.scatter(torch.from_numpy(x), torch.from_numpy(base))
    np.testing.assert_array_equal(written, expected.numpy())


@given(mask=masks, keep=st.sampled_from([0.0, 0.5, 1.0]), seed=st.integers(0, 999))
def test_restrict(mask, keep, seed):
    rng = np.random.default_rng(seed)
    smaller = mask & (rng.random(mask.shape) < keep)
    outer, _, index, _ = described(mask)
    inner, rows, _, count = described(smaller)
    x = rng.random((len(outer.rows), 3), np.float32)
    (result,) = call(
        "RegionRestrict", {"x": x, "index": index, "rows": rows, "count": count}, {"y": (FLOAT, 2)}
    )
    np.testing.assert_array_equal(result, inner.restrict(torch.from_numpy(x), outer).numpy())


def test_every_operator_is_tested_here():
    tested = {"RegionSelect", "RegionGather", "RegionRestrict", "RegionConv", "RegionScatter"}
    assert {operator.name for operator in EXCHANGE_OPERATORS} == tested | {"RegionMaxPool"}
