from __future__ import annotations

import numpy as np
import pytest

from lc_trt.runtime.native.element_type import ElementType
from lc_trt.runtime.native.library import NativeLibrary, Pool
from lc_trt.runtime.native.rows import Layout, Rows, checked, gather, map_shape, max_pool, scatter


def test_rows_end_with_zeros(library: NativeLibrary) -> None:
    rows = Rows.of(library, np.arange(6.0).reshape(2, 3), ElementType.BF16)
    assert rows.padded.shape == (2, 32)
    assert rows.stride == 64
    assert rows.values.astype(float).tolist() == [[0, 1, 2], [3, 4, 5]]
    assert (rows.padded[:, 3:] == 0).all()


def test_arrays_are_checked(pool: Pool) -> None:
    with pytest.raises(ValueError, match="expected contiguous float32"):
        checked(np.zeros((3, 4)), np.float32)
    with pytest.raises(ValueError, match="expected contiguous"):
        checked(np.zeros((3, 4), np.float32).T, np.float32)
    with pytest.raises(ValueError, match="expected four axes"):
        map_shape(np.zeros((3, 4), np.float32), Layout.NHWC)
    with pytest.raises(ValueError, match="int64"):
        gather(pool, np.zeros((1, 2, 3, 4), np.float32), np.zeros(2, np.int64), ElementType.F32)


def test_layouts(pool: Pool) -> None:
    nhwc = np.arange(24, dtype=np.float32).reshape(1, 2, 3, 4)
    nchw = np.ascontiguousarray(nhwc.transpose(0, 3, 1, 2))
    grid, channels = map_shape(nchw, Layout.NCHW)
    assert (grid.n, grid.h, grid.w, channels) == (1, 2, 3, 4)
    positions = np.array([5, 0, -1], np.int32)
    for array, layout in ((nhwc, Layout.NHWC), (nchw, Layout.NCHW)):
        rows = gather(pool, array, positions, ElementType.F32, layout=layout)
        assert rows.values.tolist() == [[20, 21, 22, 23], [0, 1, 2, 3], [0, 0, 0, 0]]


def test_scatter_checks_the_number_of_rows(library: NativeLibrary, pool: Pool) -> None:
    rows = Rows.of(library, np.ones((2, 4)), ElementType.F32)
    with pytest.raises(ValueError, match="2 rows of 4 channels, expected 1 of 4"):
        scatter(pool, rows, np.zeros(1, np.int32), np.zeros((1, 1, 1, 4), np.float32))


def test_max_pool(library: NativeLibrary, pool: Pool) -> None:
    rows = Rows.of(library, np.array([[1, -2], [-3, -4]]), ElementType.S8)
    pooled = max_pool(pool, rows, np.array([[0, 1], [1, -1]], np.int32))
    assert pooled.values.tolist() == [[1, -2], [0, 0]]
