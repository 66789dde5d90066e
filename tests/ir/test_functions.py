"""Each region operator's function body, run by ONNX Runtime, against the PyTorch twin."""

from __future__ import annotations

import numpy as np
import onnx
import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st
from onnx import TensorProto, helper
from tiny_networks import session
from torch import nn

from lc_trt.ir.builder import IR_VERSION
from lc_trt.ir.functions import (
    DOMAIN,
    OPSET,
    REGION_OPERATORS,
    VERSION,
    region_function,
)
from lc_trt.ir.plugin_functions import segments_function
from lc_trt.model.region import CompactRegion

INT, FLOAT, BOOL = TensorProto.INT32, TensorProto.FLOAT, TensorProto.BOOL


def call(name, feed, outputs, function=None, **attributes):
    """One node of the operator in a graph of its own."""
    function = function or region_function(name)
    types = {np.dtype(np.float32): FLOAT, np.dtype(np.int32): INT, np.dtype(bool): BOOL}
    node = helper.make_node(
        name, list(feed), list(outputs), domain=DOMAIN, overload=function.overload, **attributes
    )
    graph = helper.make_graph(
        [node],
        "one",
        [
            helper.make_tensor_value_info(k, types[v.dtype], [f"{k}{i}" for i in range(v.ndim)])
            for k, v in feed.items()
        ],
        [
            helper.make_tensor_value_info(k, t, [f"{k}{i}" for i in range(rank)])
            for k, (t, rank) in outputs.items()
        ],
    )
    model = helper.make_model(
        graph,
        functions=[function],
        opset_imports=[helper.make_opsetid("", OPSET), helper.make_opsetid(DOMAIN, VERSION)],
        ir_version=IR_VERSION,
    )
    onnx.checker.check_model(model)
    return session(model).run(list(outputs), feed)


masks = st.builds(
    lambda n, h, w, share, seed: np.random.default_rng(seed).random((n, 1, h, w)) < share,
    st.sampled_from([1, 3]),
    st.integers(1, 9),
    st.integers(1, 9),
    st.sampled_from([0.0, 0.2, 0.6, 1.0]),
    st.integers(0, 999),
)
windows = st.sampled_from(
    [((1, 1), (1, 1)), ((3, 3), (1, 1)), ((3, 3), (2, 2)), ((1, 7), (1, 2)), ((7, 1), (2, 1)),
     ((3, 3), (24, 24)), ((3, 1), (4, 1))]
)  # fmt: skip


def described(mask):
    """A region in torch, and the same as the operators' inputs."""
    region = CompactRegion(torch.from_numpy(mask))
    n, _, h, w = mask.shape
    rows = region.rows.numpy().astype(np.int32)
    index = region.index.numpy().astype(np.int32).reshape(n, h, w)
    return region, rows, index, np.array([len(rows)], np.int32)


@pytest.mark.parametrize("mask_type", [bool, np.int32])
@given(mask=masks, seed=st.integers(0, 999))
def test_select_marks_active_pixels_that_are_not_surer_than_rho(mask_type, mask, seed):
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
    (found,) = call(
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
    np.testing.assert_allclose(found, expected.numpy(), atol=1e-5)


@given(
    mask=masks,
    window=windows,
    parts=st.lists(
        st.tuples(st.integers(0, 2), st.integers(1, 3), st.integers(0, 2)), min_size=1, max_size=8
    ),
    seed=st.integers(0, 999),
)
def test_conv_in_segments_is_the_conv_of_their_concatenation(mask, window, parts, seed):
    """Each part is (channels before it, its own, those after it) of an input."""
    (kh, kw), dilation = window
    torch.manual_seed(seed)
    region, rows, index, count = described(mask)
    xs = [torch.randn(len(rows), sum(part)) for part in parts]
    begins = [before for before, _, _ in parts]
    ends = [before + own for before, own, _ in parts]
    joined = torch.cat([x[:, b:e] for x, b, e in zip(xs, begins, ends, strict=True)], 1)
    conv = nn.Conv2d(joined.shape[1], 4, (kh, kw), dilation=dilation)
    skip = torch.randn(len(rows), 4)
    with torch.no_grad():
        expected = torch.relu(0.3 * region.conv(joined, conv) + skip)
    (found,) = call(
        "RegionConv",
        {
            **{f"x{i}": x.numpy() for i, x in enumerate(xs)},
            "rows": rows, "index": index, "count": count,
            "weight": np.ascontiguousarray(conv.weight.detach().permute(0, 2, 3, 1).numpy()),
            "bias": conv.bias.detach().numpy(), "residual": skip.numpy(),
        },
        {"y": (FLOAT, 2)},
        function=segments_function(len(parts)),
        kernel_shape=[kh, kw], dilations=list(dilation), activation=1, residual_scale=0.3,
        weight_layout=1, channel_begin=begins, channel_end=ends,
    )  # fmt: skip
    np.testing.assert_allclose(found, expected.numpy(), atol=1e-5)


@given(mask=masks, dilation=st.sampled_from([1, 2, 4]), seed=st.integers(0, 999))
def test_max_pool(mask, dilation, seed):
    region, rows, index, count = described(mask)
    x = np.random.default_rng(seed).random((len(rows), 3), np.float32)
    (found,) = call(
        "RegionMaxPool",
        {"x": x, "rows": rows, "index": index, "count": count},
        {"y": (FLOAT, 2)},
        kernel_shape=[3, 3],
        dilations=[dilation, dilation],
    )
    np.testing.assert_array_equal(found, region.max_pool(torch.from_numpy(x), 3, dilation).numpy())


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
    (found,) = call(
        "RegionRestrict", {"x": x, "index": index, "rows": rows, "count": count}, {"y": (FLOAT, 2)}
    )
    np.testing.assert_array_equal(found, inner.restrict(torch.from_numpy(x), outer).numpy())


def test_every_operator_is_tested_here():
    tested = {"RegionSelect", "RegionGather", "RegionRestrict", "RegionConv", "RegionScatter"}
    assert set(REGION_OPERATORS) == tested | {"RegionMaxPool"}
