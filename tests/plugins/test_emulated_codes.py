"""INT8 region convolutions in the emulator."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import replace

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from plugin_cases import valid_part
from plugin_conv_cases import CodeConv, ConvCase, check_conv
from plugin_harness import Harness, HarnessError

TYPES = ["int8", "float16", "bfloat16", "float32"]
RESIDUALS = [None, *TYPES]


@pytest.mark.parametrize("output", TYPES)
@pytest.mark.parametrize("residual", RESIDUALS)
@pytest.mark.parametrize("relu", [False, True])
@pytest.mark.parametrize("out_channels", [24, 23, 12])
def test_outputs_and_residuals_of_any_type(emulator, output, residual, relu, out_channels):
    case = ConvCase.of(
        16, out_channels, dtype="int8", relu=relu, scale=0.3, output=output,
        residual=residual is not None, residual_dtype=residual, factor=1.7,
    )  # fmt: skip
    check_conv(emulator, case)


@given(
    segments=st.lists(st.tuples(st.integers(1, 40), st.integers(0, 9)), min_size=1, max_size=3),
    out_channels=st.integers(1, 70),
    kernel=st.tuples(st.sampled_from([1, 3, 5]), st.sampled_from([1, 3, 7])),
    share=st.sampled_from(["empty", "one", "full", 0.4]),
    aligned=st.booleans(),
    output=st.sampled_from(TYPES),
    residual=st.sampled_from(RESIDUALS),
    flags=st.tuples(st.booleans(), st.booleans()),
    factors=st.tuples(st.floats(-2, 2, width=32), st.floats(-2, 2, width=32)),
    tactic=st.integers(0, 4),
    seed=st.integers(0, 99),
)
def test_any_shape_and_types(
    emulator, segments, out_channels, kernel, share, aligned, output, residual, flags, factors,
    tactic, seed,
):  # fmt: skip
    unit = 16 if aligned else 1
    slices = tuple(
        (unit * (skip + channels + 1), unit * skip, unit * (skip + channels))
        for channels, skip in ((-(-c // unit), s) for c, s in segments)
    )
    relu, layout = flags
    case = ConvCase(
        slices, out_channels, kernel, size=(2, 5, 6), share=share, dtype="int8", relu=relu,
        layout=int(layout), tactic=tactic, seed=seed, residual=residual is not None,
        residual_dtype=residual, output=output, scale=factors[0], factor=factors[1],
    )  # fmt: skip
    check_conv(emulator, case)


@pytest.fixture
def turing(emulator: Harness) -> Iterator[Harness]:
    """The emulator, with the matrix products of sm_75."""
    emulator.library.lct_emulator_turing(1)
    yield emulator
    emulator.library.lct_emulator_turing(0)


@pytest.mark.parametrize("tactic", [1, 2, 3, 4])
def test_the_small_products_of_sm_75_add_up(turing, tactic):
    case = ConvCase.of(144, 136, kernel=(1, 3), share=0.9, dtype="int8", tactic=tactic)
    check_conv(turing, case)


def test_bf16_is_refused_on_sm_75(turing):
    case = ConvCase.of(16, 16, dtype="bfloat16")
    with pytest.raises(HarnessError, match="operation not supported"):
        check_conv(turing, case)


def one_by_one(harness: Harness, channels: int, out_channels: int, **more: object) -> CodeConv:
    """A 1x1 on a full map; the test fills in the numbers."""
    case = ConvCase.of(channels, out_channels, dtype="int8", size=(1, 4, 64), share="full", **more)
    conv = CodeConv(harness, case)
    conv.fill("full")
    return conv


def launched(conv: CodeConv) -> np.ndarray:
    conv.launch()
    return valid_part(conv.y, conv.region.size)


@pytest.mark.parametrize(("scale", "bias"), [(0.5, 0.0), (1.5, 0.0), (0.25, 0.25), (2.0, 0.5)])
def test_ties_round_to_even_and_int8_saturates(emulator, scale, bias):
    """Every INT8 value times a weight of 1; Python's round also rounds half to even."""
    conv = one_by_one(emulator, 16, 8)
    codes = np.zeros((256, 16), np.int8)
    codes[:, 0] = np.arange(-128, 128)
    weight = np.zeros((8, 1, 1, 16), np.int8)
    weight[:, 0, 0, 0] = 1
    conv.inputs[0].set(codes)
    conv.device_weight.set(weight)
    conv.device_scale.set(np.full(8, scale))
    conv.device_bias.set(np.full(8, bias))
    expected = [min(max(round(int(code) * scale + bias), -128), 127) for code in codes[:, 0]]
    assert np.array_equal(launched(conv), np.repeat(np.array([expected]).T, 8, 1))


def test_sums_beyond_what_a_float_counts_are_exact(emulator):
    """Up beyond 2^24, an odd number, and down again: FP32 sums would make it even on the way."""
    conv = one_by_one(emulator, 2096, 8, output="float32")
    odd = np.array([-7, -5, -3, -1, 1, 3, 5, 7], np.int8)
    codes, weight = np.full((256, 2096), -128, np.int8), np.zeros((8, 1, 1, 2096), np.int8)
    codes[:, 1040:1056] = 1
    weight[..., :1040], weight[..., 1056:] = -128, 127
    weight[:, 0, 0, 1040] = odd
    conv.inputs[0].set(codes)
    conv.device_weight.set(weight)
    conv.device_scale.set(np.ones(8))
    conv.device_bias.set(np.zeros(8))
    assert 1040 * 128 * 128 > 2**24
    expected = 1040 * 128 * (128 - 127) + odd.astype(np.float32)
    assert np.array_equal(launched(conv), np.tile(expected, (256, 1)))


def test_int8_without_scales_is_refused(emulator):
    conv = one_by_one(emulator, 16, 8)
    conv.more = dict
    with pytest.raises(HarnessError, match="invalid argument"):
        conv.launch()


@pytest.mark.parametrize("dtype", ["float32", "float16"])
def test_only_int8_may_change_its_type(emulator, dtype):
    case = ConvCase.of(16, 8, dtype=dtype)
    for wrong in (
        replace(case, output="int8"),
        replace(case, residual_dtype="int8", residual=True),
    ):
        with pytest.raises(HarnessError, match="invalid argument"):
            check_conv(emulator, wrong)
