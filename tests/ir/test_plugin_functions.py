"""Forms that only TensorRT's plugins have, in ONNX Runtime; integer results are exact."""

from __future__ import annotations

import numpy as np
import pytest
import torch
from function_cases import FLOAT, call, described, masks, windows
from hypothesis import given
from hypothesis import strategies as st
from onnx import TensorProto
from torch import nn

from lc_trt.ir.operator_schema import EXCHANGE, Form, OutputType
from lc_trt.ir.plugin_functions import plugin_function
from lc_trt.ir.region_ops import REGION_CONV, REGION_QUANTIZE

INT8, HALF = TensorProto.INT8, TensorProto.FLOAT16
# ONNX Runtime hands no BF16 to Python: a test of its own has that type.
TYPES = {
    OutputType.INT8: (INT8, np.int8),
    OutputType.FP32: (FLOAT, np.float32),
    OutputType.FP16: (HALF, np.float16),
}


def laid_out(weight, layout):
    """[Cout, Cin, kh, kw] as a layout has it; ONNX's own, where none is named."""
    return np.ascontiguousarray(np.moveaxis(weight, 1, 3)) if layout == 1 else weight


def layout_attribute(layout):
    return {} if layout is None else {"weight_layout": layout}


@given(
    mask=masks,
    window=windows,
    parts=st.lists(
        st.tuples(st.integers(0, 2), st.integers(1, 3), st.integers(0, 2)), min_size=1, max_size=8
    ),
    layout=st.sampled_from([None, 0, 1]),
    seed=st.integers(0, 999),
)
def test_conv_in_segments_is_the_conv_of_their_concatenation(mask, window, parts, layout, seed):
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
    (result,) = call(
        "RegionConv",
        {
            **{f"x{i}": x.numpy() for i, x in enumerate(xs)},
            "rows": rows, "index": index, "count": count,
            "weight": laid_out(conv.weight.detach().numpy(), layout),
            "bias": conv.bias.detach().numpy(), "residual": skip.numpy(),
        },
        {"y": (FLOAT, 2)},
        function=plugin_function(REGION_CONV, Form(len(parts))),
        kernel_shape=[kh, kw], dilations=list(dilation), activation=1, residual_scale=0.3,
        channel_begin=begins, channel_end=ends, **layout_attribute(layout),
    )  # fmt: skip
    np.testing.assert_allclose(result, expected.numpy(), atol=1e-5)


def codes(rng, *shape):
    """Any INT8 value, including both limits."""
    return rng.integers(-128, 128, shape, np.int8)


@given(
    mask=masks,
    window=windows,
    parts=st.lists(
        st.tuples(st.integers(0, 2), st.integers(1, 20), st.integers(0, 2)), min_size=1, max_size=8
    ),
    output=st.sampled_from(list(TYPES)),
    residual=st.sampled_from(["none", "codes", "floating"]),
    relu=st.booleans(),
    layout=st.sampled_from([None, 0, 1]),
    seed=st.integers(0, 999),
)
def test_int8_conv_accumulates_exactly_and_rounds_once(
    mask, window, parts, output, residual, relu, layout, seed
):
    (kh, kw), dilation = window
    rng = np.random.default_rng(seed)
    region, rows, index, count = described(mask)
    xs = [codes(rng, len(rows), sum(part)) for part in parts]
    begins = [before for before, _, _ in parts]
    ends = [before + own for before, own, _ in parts]
    joined = np.concatenate([x[:, b:e] for x, b, e in zip(xs, begins, ends, strict=True)], 1)
    weight = codes(rng, 4, joined.shape[1], kh, kw)
    scale = rng.uniform(1e-5, 1e-2, 4).astype(np.float32)
    bias = rng.normal(size=4).astype(np.float32)
    kind, dtype = TYPES[output]
    added = {
        "none": np.zeros((1, 1), np.int8),
        "codes": codes(rng, len(rows), 4),
        "floating": rng.normal(size=(len(rows), 4)).astype(dtype),
    }[residual]
    conv = nn.Conv2d(joined.shape[1], 4, (kh, kw), dilation=dilation, bias=False).double()
    with torch.no_grad():
        conv.weight.copy_(torch.from_numpy(weight))
        sums = region.conv(torch.from_numpy(joined).double(), conv).numpy()
    expected = added * 0.5 + 0.3 * (sums * scale.astype(np.float64) + bias)
    if relu:
        expected = np.maximum(expected, 0)
    (result,) = call(
        "RegionConv",
        {
            **{f"x{i}": x for i, x in enumerate(xs)},
            "rows": rows, "index": index, "count": count,
            "weight": laid_out(weight, layout), "scale": scale, "bias": bias, "residual": added,
        },
        {"y": (kind, 2)},
        function=plugin_function(REGION_CONV, Form(len(parts), output)),
        kernel_shape=[kh, kw], dilations=list(dilation), activation=int(relu), residual_scale=0.3,
        residual_factor=0.5, channel_begin=begins, channel_end=ends,
        output_type=output.number, **layout_attribute(layout),
    )  # fmt: skip
    assert result.dtype == dtype
    if output is not OutputType.INT8:
        return np.testing.assert_allclose(result, expected, rtol=2e-3, atol=1e-3)
    # Nothing but FP32's rounding of the sum may decide between two codes.
    np.testing.assert_allclose(result, np.clip(expected, -128, 127), atol=0.5 + 1e-4)


def test_bf16_outputs_are_rounded_fp32():
    kinds = (OutputType.BF16, OutputType.FP32)
    rounded, exact = (plugin_function(REGION_CONV, Form(2, kind)).node for kind in kinds)
    assert [n.op_type for n in rounded[:-1]] == [n.op_type for n in exact[:-1]]
    assert rounded[-1].input == exact[-1].input and exact[-1].op_type == "Identity"
    assert rounded[-1].op_type == "Cast" and rounded[-1].attribute[0].i == TensorProto.BFLOAT16


def test_ties_round_to_even_and_overflow_saturates():
    x = np.array([[1], [3], [-1], [-3], [127], [-128]], np.int8)
    (result,) = call(
        "RegionConv",
        {
            "x0": x, "rows": np.arange(6, dtype=np.int32),
            "index": np.arange(1, 7, dtype=np.int32).reshape(1, 1, 6),
            "count": np.array([6], np.int32), "weight": np.full((1, 1, 1, 1), 5, np.int8),
            "scale": np.array([0.5], np.float32), "bias": np.zeros(1, np.float32),
            "residual": np.zeros((1, 1), np.int8),
        },
        {"y": (INT8, 2)},
        function=plugin_function(REGION_CONV, Form(1, OutputType.INT8)),
        kernel_shape=[1, 1], dilations=[1, 1], channel_begin=[0], channel_end=[1],
    )  # fmt: skip
    assert result.ravel().tolist() == [2, 8, -2, -8, 127, -128]


@pytest.mark.parametrize("dtype", [np.float32, np.float16])
def test_quantize(dtype):
    x = np.array([[0.25, 0.75, -0.25], [100, -100, 63.5]], dtype)
    (result,) = call(
        "RegionQuantize",
        {"x": x, "count": np.array([2], np.int32)},
        {"y": (INT8, 2)},
        function=plugin_function(REGION_QUANTIZE, EXCHANGE),
        scale=0.5,
    )
    assert result.tolist() == [[0, 2, 0], [127, -128, 127]]
