"""Selection, tables, gathering, scattering and pooling of the native CPU library."""

from __future__ import annotations

import numpy as np
import pytest
import torch
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from native_cases import as_bf16, blob_scores, random_table, random_values, rows_of, saturated

from lc_trt.model.region import CompactRegion, repeat_children
from lc_trt.runtime.native.element_type import ElementType
from lc_trt.runtime.native.library import NativeLibrary, Pool
from lc_trt.runtime.native.region import NativeRegion, select
from lc_trt.runtime.native.rows import Layout, Rows, gather, max_pool, scatter

SHARED = settings(suppress_health_check=[HealthCheck.function_scoped_fixture])
SIZES = st.tuples(st.integers(1, 2), st.integers(1, 13), st.integers(1, 21))
THRESHOLDS = st.sampled_from([-9.0, -0.5, 0.0, 0.7, 9.0])


def compact(region: NativeRegion) -> CompactRegion:
    return CompactRegion(torch.from_numpy(region.index >= 0)[:, None])


@SHARED
@given(
    size=SIZES,
    rho=THRESHOLDS,
    window=st.tuples(*[st.sampled_from([1, 3, 5, 7])] * 2, *[st.integers(1, 30)] * 2),
    seed=st.integers(0, 99),
)
def test_regions_and_windows_equal_pytorch(
    library: NativeLibrary,
    size: tuple[int, int, int],
    rho: float,
    window: tuple[int, int, int, int],
    seed: int,
) -> None:
    rng = np.random.default_rng(seed)
    score = blob_scores(rng, size)
    score[rng.random(size) < 0.05] = np.nan
    mask = rng.random(size) < 0.9
    region = select(library, score, rho, mask=mask)
    assert (region.rows == np.flatnonzero(~(score > rho) & mask)).all()
    reference = compact(region)
    assert (region.index.reshape(-1) == reference.index.numpy() - 1).all()
    kernel, dilation = window[:2], window[2:]
    for everywhere, source in ((False, region), (True, None)):
        expected = reference.neighbours(kernel, dilation, everywhere=everywhere) - 1
        assert (region.neighbours(kernel, dilation, source) == expected.numpy()).all()


@SHARED
@given(size=SIZES, rho=THRESHOLDS, seed=st.integers(0, 99))
def test_children_equal_pytorch(
    library: NativeLibrary, size: tuple[int, int, int], rho: float, seed: int
) -> None:
    rng = np.random.default_rng(seed)
    n, h, w = size
    parents = select(library, blob_scores(rng, (n, -(-h // 2), -(-w // 2))), rho)
    score = blob_scores(rng, size)
    region = select(library, score, 0.2, within=parents)
    active = repeat_children(compact(parents).hard, (h, w)).numpy()[:, 0]
    assert (region.rows == np.flatnonzero(active & ~(score > 0.2))).all()
    x = torch.arange(1.0, 1 + len(parents.rows))[:, None]
    expected = compact(region).children(x, compact(parents)).numpy()[:, 0] - 1
    assert (region.parents(parents)[:, 0] == expected).all()
    coarse = np.arange(parents.index.size).reshape(n, 1, *parents.index.shape[1:])
    everywhere = repeat_children(torch.from_numpy(coarse), (h, w)).numpy().reshape(-1)
    assert (region.parents(None)[:, 0] == everywhere[region.rows]).all()


def test_a_region_within_a_region(library: NativeLibrary) -> None:
    rng = np.random.default_rng(0)
    larger = select(library, blob_scores(rng, (1, 9, 12)), 0.3)
    score = blob_scores(rng, (1, 9, 12))
    region = select(library, score, 0.4, within=larger)
    assert (region.rows == np.flatnonzero((larger.index >= 0) & ~(score > 0.4))).all()
    table = region.neighbours((1, 1), (1, 1), larger)[:, 0]
    assert (larger.rows[table] == region.rows).all()


@pytest.mark.parametrize("layout", Layout)
@pytest.mark.parametrize("element_type", ElementType)
def test_gather_converts_and_scatter_converts_back(
    library: NativeLibrary, pool: Pool, isa: str, element_type: ElementType, layout: Layout
) -> None:
    rng = np.random.default_rng(1)
    for channels in (1, 5, 64, 97):
        nhwc = (rng.standard_normal((2, 7, 9, channels)) * 90).astype(np.float32)
        nhwc[0, 0, 0, 0] = np.nan
        array = nhwc if layout is Layout.NHWC else nhwc.transpose(0, 3, 1, 2)
        array = np.ascontiguousarray(array)
        positions = random_table(rng, (40,), 2 * 7 * 9)
        positions[0] = 0  # the pixel with the NaN
        got = gather(pool, array, positions, element_type, layout=layout, factor=2.0)
        expected = rows_of(2.0 * nhwc.reshape(-1, channels), positions[:, None], 40)[:, 0]
        if element_type is ElementType.BF16:
            expected = as_bf16(expected)
        elif element_type.is_integer:
            expected = saturated(np.nan_to_num(expected), element_type)
        np.testing.assert_array_equal(got.values.astype(np.float64), expected)
        assert (got.padded[:, channels:] == 0).all()

        rows = np.unique(positions[(positions >= 0) & (positions < 126)])
        values = gather(pool, array, rows, element_type, layout=layout)
        target = np.full_like(array, -7)
        scatter(pool, values, rows, target, layout=layout, factor=0.5)
        flat = target if layout is Layout.NHWC else target.transpose(0, 2, 3, 1)
        flat = flat.reshape(-1, channels)
        np.testing.assert_array_equal(flat[rows], values.values.astype(np.float32) * 0.5)
        assert (np.delete(flat, rows, 0) == -7).all()


def test_scatter_leaves_out_what_is_no_pixel(library: NativeLibrary, pool: Pool) -> None:
    values = Rows.of(library, np.ones((4, 3)), ElementType.F32)
    target = np.zeros((1, 2, 2, 3), np.float32)
    scatter(pool, values, np.array([-1, 4, 2**31 - 1, 2], np.int32), target)
    assert target.reshape(4, 3).sum(1).tolist() == [0, 0, 3, 0]


@pytest.mark.parametrize("element_type", ElementType)
def test_max_pool(library: NativeLibrary, pool: Pool, isa: str, element_type: ElementType) -> None:
    rng = np.random.default_rng(2)
    for channels in (1, 70):
        values = random_values(rng, (30, channels), element_type)
        if not element_type.is_integer:
            values[4, 0] = np.nan
        table = random_table(rng, (150, 9), len(values))
        got = max_pool(pool, Rows.of(library, values, element_type), table)
        expected = rows_of(values, table, 150).max(1)
        np.testing.assert_array_equal(got.values.astype(np.float64), expected)
        assert (got.padded[:, channels:] == 0).all()
