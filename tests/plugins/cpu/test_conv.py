"""Convolutions of the native CPU library against float64, on every instruction set."""

from __future__ import annotations

import numpy as np
import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from native_cases import (
    FLOATS,
    INTEGERS,
    as_bf16,
    convolve,
    random_table,
    random_values,
    random_weight,
    requantised,
    rows_of,
    saturated,
)

from lc_trt.runtime.native.conv import ConvInput, NativeConv
from lc_trt.runtime.native.element_type import ElementType
from lc_trt.runtime.native.library import NativeLibrary, Pool
from lc_trt.runtime.native.rows import Rows

# The fixtures only choose a kernel.
SHARED = settings(suppress_health_check=[HealthCheck.function_scoped_fixture])
KERNELS = ((1, 1), (3, 3), (1, 7), (7, 1))


def run_case(
    library: NativeLibrary,
    pool: Pool,
    element_type: ElementType,
    channels: list[int],
    outputs: int,
    kernel: tuple[int, int],
    results: int,
    seed: int = 0,
    out_type: ElementType = ElementType.F32,
    residual_type: ElementType | None = None,
) -> None:
    """Compare a random convolution with float64; with INT8 rows exactly."""
    rng = np.random.default_rng(seed)
    taps = kernel[0] * kernel[1]
    values = [random_values(rng, (int(rng.integers(1, 90)), c), element_type) for c in channels]
    tables = [random_table(rng, (results, taps), len(v)) for v in values]
    weight = random_weight(rng, (outputs, sum(channels), *kernel), element_type)
    scale = (rng.random(outputs) / 300).astype(np.float32) if element_type.is_integer else None
    bias = rng.standard_normal(outputs).astype(np.float32)
    residual = residual_input = None
    if residual_type is not None:
        stored = random_values(rng, (40, outputs), residual_type)
        table = random_table(rng, (results, 1), len(stored))
        residual = rows_of(stored, table, results)[:, 0].astype(np.float32) * np.float32(0.25)
        residual_input = ConvInput(Rows.of(library, stored, residual_type), table)
    conv = NativeConv(library, element_type, channels, weight, scale, bias)
    inputs = [
        ConvInput(Rows.of(library, v, element_type), t) for v, t in zip(values, tables, strict=True)
    ]
    got = conv(
        pool, inputs, results, relu=True, residual=residual_input, residual_factor=0.25,
        out_type=out_type,
    )  # fmt: skip
    sums, magnitude = convolve(list(zip(values, tables, strict=True)), weight, results)
    added = 0.0 if residual is None else residual
    exact = scale is not None
    if scale is not None:
        expected = requantised(sums, scale, bias, added).astype(np.float64)
    else:
        expected = sums + bias + added
    expected, tolerance = np.maximum(expected, 0), 1e-5 * (magnitude + np.abs(added) + 1)
    if out_type is ElementType.BF16:
        expected = as_bf16(expected.astype(np.float32))
        tolerance = tolerance + np.abs(expected) / 128
    elif out_type.is_integer:
        expected = saturated(expected, out_type)
        tolerance = tolerance + 1
    tolerance = 0 if exact else tolerance
    assert (np.abs(got.values.astype(np.float64) - expected) <= tolerance).all()
    assert (got.padded[:, outputs:] == 0).all()


@SHARED
@given(
    element_type=st.sampled_from(ElementType),
    channels=st.lists(st.integers(1, 70), min_size=1, max_size=4),
    outputs=st.integers(1, 100),
    kernel=st.sampled_from(KERNELS),
    results=st.integers(0, 120),
    out_type=st.sampled_from(ElementType),
    residual_type=st.none() | st.sampled_from(ElementType),
    seed=st.integers(0, 1000),
)
def test_convolutions_equal_float64(
    library: NativeLibrary,
    pool: Pool,
    isa: str,
    element_type: ElementType,
    channels: list[int],
    outputs: int,
    kernel: tuple[int, int],
    results: int,
    out_type: ElementType,
    residual_type: ElementType | None,
    seed: int,
) -> None:
    run_case(
        library, pool, element_type, channels, outputs, kernel, results, seed, out_type,
        residual_type,
    )  # fmt: skip


@pytest.mark.parametrize("element_type", ElementType)
@pytest.mark.parametrize(
    ("channels", "outputs"),
    [([1], 1), ([3], 11), ([31, 33], 17), ([216], 96), ([1088], 33), ([2080], 16), ([17], 2080)],
    ids=str,
)
def test_widths(
    library: NativeLibrary,
    pool: Pool,
    isa: str,
    element_type: ElementType,
    channels: list[int],
    outputs: int,
) -> None:
    kernel = (3, 3) if sum(channels) < 500 and outputs < 500 else (1, 1)
    run_case(library, pool, element_type, channels, outputs, kernel, results=29)


@pytest.mark.parametrize("element_type", FLOATS)
def test_nan_reaches_what_reads_it_and_nothing_else(
    library: NativeLibrary, pool: Pool, isa: str, element_type: ElementType
) -> None:
    rng = np.random.default_rng(3)
    values = random_values(rng, (20, 40), element_type)
    values[7, 13] = np.nan
    table = random_table(rng, (90, 9), len(values))
    weight = random_weight(rng, (50, 40, 3, 3), element_type)
    got = NativeConv(library, element_type, [40], weight)(
        pool, [ConvInput(Rows.of(library, values, element_type), table)], 90, relu=True
    )
    reads = (table == 7).any(1)
    assert reads.any()
    assert np.isnan(got.values.astype(np.float32)).all(1).tolist() == reads.tolist()
    assert not np.isnan(got.values[~reads].astype(np.float32)).any()


@pytest.mark.parametrize("element_type", ElementType)
def test_a_result_depends_on_nothing_but_what_it_reads(
    library: NativeLibrary, isa: str, element_type: ElementType
) -> None:
    # Bit for bit: not on threads, on other results, or on its place among them.
    rng = np.random.default_rng(4)
    values = random_values(rng, (60, 100), element_type)
    table = random_table(rng, (331, 9), len(values))
    weight = random_weight(rng, (70, 100, 3, 3), element_type)
    scale = np.full(70, 1e-3, np.float32)
    conv = NativeConv(library, element_type, [100], weight, scale)
    rows = Rows.of(library, values, element_type)
    results = []
    for threads in (1, 2, 3, 7):
        with Pool(library, threads) as pool:
            results += [conv(pool, [ConvInput(rows, table)], 331).padded for _ in range(2)]
            one = conv(pool, [ConvInput(rows, table[200:201])], 1).padded
            some = conv(pool, [ConvInput(rows, table[100:119])], 19).padded
            assert one.tobytes() == results[0][200:201].tobytes()
            assert some.tobytes() == results[0][100:119].tobytes()
    assert len({result.tobytes() for result in results}) == 1


@pytest.mark.parametrize("element_type", INTEGERS)
def test_int8_is_the_same_on_every_instruction_set(
    library: NativeLibrary, pool: Pool, element_type: ElementType
) -> None:
    rng = np.random.default_rng(5)
    values = random_values(rng, (80, 130), element_type)
    table = random_table(rng, (50, 9), len(values))
    weight = random_weight(rng, (33, 130, 3, 3), element_type)
    scale, bias = (rng.random((2, 33)) / 100).astype(np.float32)
    rows = Rows.of(library, values, element_type)
    results = set()
    used = set()
    for isa in ("portable", "avx2", "avx512_vnni", "amx"):
        library.limit_isa(isa)
        conv = NativeConv(library, element_type, [130], weight, scale, bias)
        results.add(conv(pool, [ConvInput(rows, table)], 50).padded.tobytes())
        used.add(library.conv_isa(element_type))
    assert {"portable", "amx"} <= used
    assert len(results) == 1


def test_values_at_the_ends_of_int8(library: NativeLibrary, pool: Pool, isa: str) -> None:
    # Products that a kernel with 16-bit sums would saturate.
    for element_type, value in ((ElementType.U8, 255), (ElementType.S8, -128)):
        rows = Rows.of(library, np.full((9, 64), value), element_type)
        for weight in (127, -128):
            conv = NativeConv(library, element_type, [64], np.full((40, 64, 1, 1), weight, np.int8))
            got = conv(pool, [ConvInput(rows)], 9, out_type=ElementType.F32)
            assert (got.values == 64 * value * weight).all()
