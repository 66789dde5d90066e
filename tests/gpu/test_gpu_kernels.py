"""The kernels on a GPU against PyTorch in float64, and INT8 bit for bit, at real sizes."""

from __future__ import annotations

from dataclasses import replace

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from plugin_cases import (
    check_gather,
    check_max_pool,
    check_quantize,
    check_restrict,
    check_scatter,
    check_select,
    mask_of,
)
from plugin_conv_cases import Conv, ConvCase, check_conv, check_conv_replay

pytestmark = pytest.mark.gpu

REGIONS = ["empty", "one", "full", "blobs", 0.1, 0.5]
FLOATS = ["float32", "float16", "bfloat16"]
DTYPES = [*FLOATS, "int8"]
SIZES = [(1, 38, 63), (3, 38, 63)]  # 300 x 500 at an eighth
LARGE = (4, 64, 128)  # 512 x 1024 at an eighth


@pytest.mark.parametrize("share", REGIONS)
@pytest.mark.parametrize("dtype", FLOATS)
@pytest.mark.parametrize("mask_dtype", ["bool", "int32"])
@pytest.mark.parametrize("size", [*SIZES, LARGE])
def test_select(gpu, size, share, dtype, mask_dtype):
    check_select(gpu, size, share, dtype, mask_dtype)


def test_select_gives_the_same_rows_every_time(gpu):
    for _ in range(20):
        check_select(gpu, LARGE, 0.7, "float32", "bool")


@pytest.mark.parametrize("share", REGIONS)
@pytest.mark.parametrize("size", SIZES)
@pytest.mark.parametrize("channels", [1, 37, 320])
@pytest.mark.parametrize(
    ("dtype", "layout"),
    [("float32", 0), ("float16", 0), ("float16", 1), ("bfloat16", 1), ("int8", 0), ("int8", 2)],
)
def test_gather(gpu, size, share, channels, dtype, layout):
    check_gather(gpu, mask_of(share, size), channels, dtype, layout)


@pytest.mark.parametrize("share", REGIONS)
@pytest.mark.parametrize("size", SIZES)
@pytest.mark.parametrize("channels", [1, 11, 64])
@pytest.mark.parametrize("dtype", FLOATS)
def test_scatter(gpu, size, share, channels, dtype):
    check_scatter(gpu, mask_of(share, size), channels, dtype)


@pytest.mark.parametrize("share", REGIONS)
@pytest.mark.parametrize("keep", [0.0, 0.5, 1.0])
@pytest.mark.parametrize("channels", [1, 37, 320])
@pytest.mark.parametrize("dtype", DTYPES)
def test_restrict(gpu, share, keep, channels, dtype):
    check_restrict(gpu, mask_of(share, (3, 38, 63)), keep, channels, dtype)


@pytest.mark.parametrize("share", REGIONS)
@pytest.mark.parametrize("dilation", [1, 2, 4])
@pytest.mark.parametrize("dtype", DTYPES)
def test_max_pool(gpu, share, dilation, dtype):
    check_max_pool(gpu, mask_of(share, (3, 38, 63)), 257, dtype, 3, dilation)


@pytest.mark.parametrize("share", REGIONS)
@pytest.mark.parametrize("channels", [1, 37, 320])
@pytest.mark.parametrize("dtype", FLOATS)
def test_quantize(gpu, share, channels, dtype):
    check_quantize(gpu, mask_of(share, (3, 38, 63)), channels, dtype, 0.05)


@pytest.mark.parametrize("share", REGIONS)
@pytest.mark.parametrize("kernel", [(1, 1), (1, 7), (7, 1), (3, 3)])
@pytest.mark.parametrize("dtype", DTYPES)
@pytest.mark.parametrize("size", SIZES)
def test_conv_windows_and_regions(gpu, size, share, kernel, dtype):
    case = ConvCase.of(128, 192, kernel=kernel, size=size, share=share, dtype=dtype)
    check_conv(gpu, replace(case, residual=True, relu=True, scale=0.17))


@pytest.mark.parametrize("share", REGIONS)
@pytest.mark.parametrize("source", ["map", "parents"])
@pytest.mark.parametrize("dtype", DTYPES)
@pytest.mark.parametrize(
    ("size", "channels", "dilation"), [((3, 45, 60), 96, 4), ((1, 90, 120), 64, 2)]
)  # 360 x 480 at an eighth and a quarter
def test_conv_of_rows_outside_the_region(gpu, size, channels, dilation, source, share, dtype):
    case = ConvCase.of(channels, channels, kernel=(3, 3), size=size, share=share, dtype=dtype)
    check_conv(gpu, replace(case, dilation=(dilation, dilation), source=source, relu=True))


@pytest.mark.parametrize("dilation", [1, 2, 4, 24])
@pytest.mark.parametrize("dtype", DTYPES)
def test_conv_dilations(gpu, dilation, dtype):
    case = ConvCase.of(96, 64, kernel=(3, 3), size=(3, 38, 63), dtype=dtype)
    check_conv(gpu, replace(case, dilation=(dilation, dilation)))


@pytest.mark.parametrize("tactic", [0, 1, 2, 3, 4])
@pytest.mark.parametrize("channels", [8, 16, 48, 320, 1088])
@pytest.mark.parametrize("share", ["one", 0.1, "full"])
@pytest.mark.parametrize("dtype", ["float16", "bfloat16", "int8"])
def test_conv_tiles_on_tensor_cores(gpu, tactic, channels, share, dtype):
    case = ConvCase.of(channels, 200, share=share, tactic=tactic, dtype=dtype)
    check_conv(gpu, replace(case, size=(3, 38, 63)))
    check_conv(gpu, replace(case, size=(1, 38, 63), kernel=(3, 3)))


@pytest.mark.parametrize("output", DTYPES)
@pytest.mark.parametrize("residual", [None, *DTYPES])
@pytest.mark.parametrize("relu", [False, True])
@pytest.mark.parametrize("out_channels", [192, 191])
def test_conv_of_codes_to_any_type(gpu, output, residual, relu, out_channels):
    case = ConvCase.of(
        128, out_channels, kernel=(3, 3), size=(1, 38, 63), dtype="int8", output=output,
        residual=residual is not None, residual_dtype=residual, relu=relu, scale=0.3, factor=1.7,
    )  # fmt: skip
    check_conv(gpu, case)


@pytest.mark.parametrize("tactic", [0, 1, 2])
@pytest.mark.parametrize("channels", [4, 48, 320])
def test_conv_tiles_in_fp32(gpu, tactic, channels):
    case = ConvCase.of(channels, 200, kernel=(3, 3), size=(1, 38, 63), dtype="float32")
    check_conv(gpu, replace(case, tactic=tactic))


@pytest.mark.parametrize("channels", [1, 3, 13, 33, 61])
@pytest.mark.parametrize("kernel", [(1, 1), (3, 3)])
@pytest.mark.parametrize("dtype", DTYPES)
@pytest.mark.parametrize("layout", [0, 1])
def test_conv_odd_channels(gpu, channels, kernel, dtype, layout):
    case = ConvCase.of(channels, channels + 2, kernel=kernel, dtype=dtype, layout=layout)
    check_conv(gpu, replace(case, size=(3, 19, 23), residual=True, relu=True))


@pytest.mark.parametrize("dtype", DTYPES)
@pytest.mark.parametrize(
    "segments",
    [
        ((192, 0, 192), (128, 0, 128), (64, 0, 64)),
        ((320, 64, 192), (96, 32, 96)),
        ((33, 2, 30), (7, 0, 7)),
    ],
)
def test_conv_segments_are_a_concatenation(gpu, dtype, segments):
    check_conv(gpu, ConvCase(segments, 96, kernel=(1, 3), dtype=dtype, size=(3, 38, 63)))


@pytest.mark.parametrize("dtype", DTYPES)
@pytest.mark.parametrize("tactic", [1, 2])
def test_conv_replays_with_another_count(gpu, dtype, tactic):
    case = ConvCase.of(64, 96, kernel=(3, 3), size=(3, 38, 63), dtype=dtype, tactic=tactic)
    check_conv_replay(gpu, replace(case, residual=True), [0.5, "full", "empty", "one", 0.1])


@pytest.mark.parametrize("garbage", [-1, -(2**31), 2**31 - 1])
@pytest.mark.parametrize("what", ["count", "rows", "index"])
def test_garbage_is_never_an_address(gpu, what, garbage):
    """Memory as when TensorRT times tactics. A debug build of the harness stops at it instead."""
    conv = Conv(gpu, ConvCase.of(64, 96, kernel=(3, 3), size=(1, 38, 63)))
    conv.fill("full")
    region = conv.region
    array = {"count": region.count, "rows": region.rows, "index": region.index}[what]
    array.set(np.full(array.shape, garbage, np.int32))
    conv.launch()
    gpu.synchronise()


@settings(max_examples=1000)
@given(
    segments=st.lists(st.tuples(st.integers(1, 150), st.integers(0, 9)), min_size=1, max_size=4),
    out_channels=st.integers(1, 300),
    kernel=st.tuples(st.sampled_from([1, 3, 5]), st.sampled_from([1, 3, 7])),
    dilation=st.tuples(st.integers(1, 4), st.integers(1, 4)),
    size=st.tuples(st.integers(1, 3), st.integers(1, 40), st.integers(1, 40)),
    share=st.sampled_from(["empty", "one", "full", "blobs", 0.05, 0.2, 0.6]),
    dtype=st.sampled_from(DTYPES),
    source=st.sampled_from(["region", "map", "parents"]),
    aligned=st.booleans(),
    flags=st.tuples(*[st.booleans()] * 3),
    tactic=st.integers(0, 2),
    seed=st.integers(0, 999),
)
def test_conv_of_any_shape(
    gpu, segments, out_channels, kernel, dilation, size, share, dtype, source, aligned, flags,
    tactic, seed,
):  # fmt: skip
    unit = 1 if not aligned else 16 if dtype == "int8" else 8
    slices = tuple(
        (unit * (skip + channels + 1), unit * skip, unit * (skip + channels))
        for channels, skip in ((-(-c // unit), s) for c, s in segments)
    )
    residual, relu, layout = flags
    check_conv(
        gpu,
        ConvCase(
            slices, out_channels, kernel, dilation, size, share, dtype,
            residual=residual, relu=relu, layout=int(layout), tactic=tactic, seed=seed,
            source="region" if kernel == (1, 1) else source,
        ),
    )  # fmt: skip
