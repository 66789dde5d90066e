"""The kernels in the emulator, on small maps; tests/gpu runs them on a GPU."""

from __future__ import annotations

from dataclasses import replace

import numpy as np
import pytest
from hypothesis import given
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
from plugin_harness import Harness, HarnessError

REGIONS = ["empty", "one", "full", 0.5]
FLOATS = ["float32", "float16", "bfloat16"]
DTYPES = [*FLOATS, "int8"]


@pytest.mark.parametrize("share", REGIONS)
@pytest.mark.parametrize("dtype", FLOATS)
@pytest.mark.parametrize("mask_dtype", ["bool", "int32"])
def test_select(emulator, share, dtype, mask_dtype):
    check_select(emulator, (2, 5, 7), share, dtype, mask_dtype)


@pytest.mark.parametrize("size", [(1, 64, 64), (1, 64, 65), (3, 45, 63)])
def test_select_numbers_rows_across_blocks(either_order, size):
    check_select(either_order, size, 0.7, "float32", "bool")


@pytest.mark.parametrize("share", REGIONS)
@pytest.mark.parametrize("channels", [1, 8, 37, 160])
@pytest.mark.parametrize(
    ("layout", "dtype"), [(0, "float32"), (0, "int8"), (1, "float16"), (1, "bfloat16"), (2, "int8")]
)
def test_gather(either_order, share, channels, layout, dtype):
    check_gather(either_order, mask_of(share, (2, 11, 13)), channels, dtype, layout)


@pytest.mark.parametrize("share", REGIONS)
@pytest.mark.parametrize(
    ("channels", "dtype"), [(1, "float32"), (37, "float16"), (300, "bfloat16")]
)
def test_scatter(either_order, share, channels, dtype):
    check_scatter(either_order, mask_of(share, (2, 11, 13)), channels, dtype)


@pytest.mark.parametrize("share", REGIONS)
@pytest.mark.parametrize("keep", [0.0, 0.5, 1.0])
@pytest.mark.parametrize(
    ("channels", "dtype"),
    [(5, "float32"), (5, "float16"), (24, "bfloat16"), (5, "int8"), (32, "int8")],
)
def test_restrict(emulator, share, keep, channels, dtype):
    check_restrict(emulator, mask_of(share, (2, 7, 9)), keep, channels, dtype)


@pytest.mark.parametrize("share", REGIONS)
@pytest.mark.parametrize("dilation", [1, 2, 24])
def test_max_pool(emulator, share, dilation):
    check_max_pool(emulator, mask_of(share, (2, 7, 9)), 5, "float32", 3, dilation)
    check_max_pool(emulator, mask_of(share, (2, 7, 9)), 130, "float16", 3, dilation)
    check_max_pool(emulator, mask_of(share, (2, 7, 9)), 130, "int8", 3, dilation)
    check_max_pool(emulator, mask_of(share, (2, 7, 9)), 7, "bfloat16", 3, dilation)
    check_max_pool(emulator, mask_of(share, (2, 7, 9)), 9, "float32", 3, dilation, everywhere=True)


@pytest.mark.parametrize("share", REGIONS)
@pytest.mark.parametrize("channels", [1, 24, 37])
@pytest.mark.parametrize("dtype", FLOATS)
@pytest.mark.parametrize("scale", [0.05, 1.0])
def test_quantize(either_order, share, channels, dtype, scale):
    check_quantize(either_order, mask_of(share, (2, 7, 9)), channels, dtype, scale)


@pytest.mark.parametrize("tactic", [1, 2, 3, 4])
@pytest.mark.parametrize("kernel", [(1, 1), (3, 3)])
@pytest.mark.parametrize(("dtype", "channels"), [("float16", 72), ("bfloat16", 72), ("int8", 144)])
def test_conv_on_tensor_cores(either_order, tactic, kernel, dtype, channels):
    case = ConvCase.of(channels, 136, kernel=kernel, size=(2, 13, 14), share=0.8, tactic=tactic)
    check_conv(either_order, replace(case, dtype=dtype))
    assert either_order.library.lct_emulator_bank_conflicts() == 0


@pytest.mark.parametrize("tactic", [1, 2])
@pytest.mark.parametrize("kernel", [(1, 1), (3, 3)])
def test_conv_in_fp32(either_order, tactic, kernel):
    case = ConvCase.of(
        36, 70, kernel=kernel, size=(1, 9, 11), share=0.9, tactic=tactic, dtype="float32"
    )
    check_conv(either_order, case)


@pytest.mark.parametrize("share", REGIONS)
@pytest.mark.parametrize("kernel", [(1, 1), (1, 7), (7, 1), (3, 3)])
@pytest.mark.parametrize("dtype", DTYPES)
def test_conv_windows_and_regions(emulator, share, kernel, dtype):
    channels = 16 if dtype == "int8" else 8  # a granule
    check_conv(
        emulator, ConvCase.of(channels, 16, kernel=kernel, size=(2, 6, 8), share=share, dtype=dtype)
    )


@pytest.mark.parametrize("dilation", [(1, 1), (2, 2), (4, 4), (24, 24), (1, 3)])
def test_conv_dilations(emulator, dilation):
    case = ConvCase.of(8, 8, kernel=(3, 3), dilation=dilation, size=(1, 9, 10))
    check_conv(emulator, case)
    check_conv(emulator, replace(case, dtype="int8"))


@pytest.mark.parametrize("dtype", DTYPES)
@pytest.mark.parametrize("channels", [1, 3, 7, 9, 33])
@pytest.mark.parametrize("layout", [0, 1])
def test_conv_odd_channels(either_order, dtype, channels, layout):
    case = ConvCase.of(
        channels, channels + 2, kernel=(3, 3), dtype=dtype, layout=layout, residual=True,
        size=(1, 5, 6),
    )  # fmt: skip
    check_conv(either_order, case)


@pytest.mark.parametrize("dtype", DTYPES)
@pytest.mark.parametrize("residual", [False, True])
@pytest.mark.parametrize("relu", [False, True])
@pytest.mark.parametrize("out_channels", [24, 23])
def test_conv_epilogue(emulator, dtype, residual, relu, out_channels):
    case = ConvCase.of(
        16, out_channels, dtype=dtype, residual=residual, relu=relu, scale=0.3, bias_dtype="float32"
    )  # fmt: skip
    check_conv(emulator, case)


@pytest.mark.parametrize("dtype", DTYPES)
@pytest.mark.parametrize("kernel", [(1, 1), (3, 3)])
@pytest.mark.parametrize(
    "segments",
    [
        ((16, 0, 16), (24, 0, 24)),
        ((16, 8, 16), (8, 0, 8), (40, 16, 32)),
        ((8, 0, 8),) * 8,
        ((16, 0, 16), (48, 16, 48)),
        ((5, 0, 5), (9, 2, 8)),
        ((16, 0, 16), (20, 4, 12)),  # the second cannot be copied 16 bytes at a time in FP16
    ],
)
def test_conv_segments_are_a_concatenation(emulator, dtype, kernel, segments):
    case = ConvCase(segments, 24, kernel=kernel, dtype=dtype, size=(1, 6, 7))
    check_conv(emulator, case)


@pytest.mark.parametrize("share", REGIONS)
@pytest.mark.parametrize("source", ["map", "parents"])
@pytest.mark.parametrize("dtype", DTYPES)
def test_conv_of_rows_outside_the_region(emulator, share, source, dtype):
    """All rows of a dense map, and rows of a map at twice the stride."""
    case = ConvCase(
        ((40, 8, 24), (16, 0, 16)), 24, (3, 3), (2, 2), (2, 7, 9), share, dtype,
        source=source, residual=True,
    )  # fmt: skip
    check_conv(emulator, case)


def test_a_1x1_reads_the_rows_of_the_region_only(emulator):
    with pytest.raises(HarnessError, match="invalid argument"):
        check_conv(emulator, ConvCase.of(16, 16, source="parents"))


def test_conv_with_the_largest_window(emulator):
    check_conv(emulator, ConvCase.of(8, 8, kernel=(11, 11), size=(1, 6, 7), share="full"))
    check_conv(emulator, ConvCase.of(3, 3, kernel=(11, 11), size=(1, 6, 7), share="full"))
    with pytest.raises(HarnessError, match="invalid argument"):
        check_conv(emulator, ConvCase.of(8, 8, kernel=(11, 13), size=(1, 6, 7)))


@given(
    segments=st.lists(st.tuples(st.integers(1, 40), st.integers(0, 9)), min_size=1, max_size=3),
    out_channels=st.integers(1, 70),
    kernel=st.tuples(st.sampled_from([1, 3, 5]), st.sampled_from([1, 3, 7])),
    dilation=st.tuples(st.integers(1, 3), st.integers(1, 3)),
    size=st.tuples(st.integers(1, 3), st.integers(1, 8), st.integers(1, 9)),
    share=st.sampled_from(["empty", "one", "full", "blobs", 0.2, 0.6]),
    dtype=st.sampled_from(DTYPES),
    source=st.sampled_from(["region", "map", "parents"]),
    flags=st.tuples(*[st.booleans()] * 3),
    tactic=st.integers(0, 2),
    seed=st.integers(0, 99),
)
def test_conv_of_any_shape(
    emulator, segments, out_channels, kernel, dilation, size, share, dtype, source, flags, tactic,
    seed,
):  # fmt: skip
    slices = tuple((skip + channels + 1, skip, skip + channels) for channels, skip in segments)
    residual, relu, layout = flags
    if kernel == (1, 1):
        source = "region"
    check_conv(
        emulator,
        ConvCase(
            slices, out_channels, kernel, dilation, size, share, dtype,
            residual=residual, relu=relu, layout=int(layout), tactic=tactic, seed=seed,
            source=source,
        ),
    )  # fmt: skip


@pytest.mark.parametrize("dtype", ["float16", "bfloat16", "int8"])
def test_conv_replays_with_another_count(emulator, dtype):
    case = ConvCase.of(16, 24, kernel=(3, 3), size=(2, 9, 11), residual=True, dtype=dtype)
    check_conv_replay(emulator, case, [0.5, "full", "empty", "one", 0.2])


def test_nan_does_not_spread_within_the_region(emulator):
    conv = Conv(emulator, ConvCase.of(16, 16, kernel=(3, 3), relu=True, size=(1, 9, 9)))
    conv.fill("full")
    conv.rows[0][40] = np.nan  # the map's centre
    conv.inputs[0].set(conv.rows[0])
    conv.launch()
    spoilt = np.isnan(conv.y.numpy()).any(1).reshape(9, 9)
    assert spoilt.sum() == 9 and spoilt[3:6, 3:6].all()


# --- garbage in memory, as when TensorRT times tactics --------------------------------------------


def spoil(conv: Conv, what: str) -> None:
    region = conv.region
    array = {"count": region.count, "rows": region.rows, "index": region.index}[what]
    array.set(np.full(array.shape, 0x7F7F7F7F, np.int32))


@pytest.mark.parametrize("what", ["count", "rows", "index"])
def test_a_check_stops_at_an_index_out_of_range(emulator: Harness, what, capfd):
    conv = Conv(emulator, ConvCase.of(16, 24, kernel=(3, 3)))
    conv.fill(0.5)
    spoil(conv, what)
    with pytest.raises(HarnessError, match="a check in a kernel failed"):
        conv.launch()


@pytest.mark.parametrize("what", ["count", "rows", "index"])
@pytest.mark.parametrize("garbage", [-1, -(2**31), 2**31 - 1, 0x7F7F7F7F])
def test_without_checks_garbage_is_never_an_address(unchecked: Harness, what, garbage):
    conv = Conv(unchecked, ConvCase.of(16, 24, kernel=(3, 3)))
    conv.fill("full")
    region = conv.region
    array = {"count": region.count, "rows": region.rows, "index": region.index}[what]
    array.set(np.full(array.shape, garbage, np.int32))
    y, x = conv.y, conv.inputs[0]
    conv.launch()
    unchecked.max_pool(x, region, unchecked.poisoned(x.shape, x.dtype), (3, 3, 1, 1))
    unchecked.restrict(x, region, region, unchecked.poisoned(x.shape, x.dtype))
    base = unchecked.put(np.zeros((1, 24, 9, 11), np.float16))
    unchecked.gather(base, region, y)
    unchecked.scatter(y, region, base, unchecked.poisoned(base.shape, base.dtype))
