from __future__ import annotations

import numpy as np
import pytest

from lc_trt.runtime.native.library import NativeLibrary
from lc_trt.runtime.native.region import select


def test_a_region_and_its_tables(library: NativeLibrary) -> None:
    score = np.array([[[0.9, 0.1, 0.5], [0.2, np.nan, 0.6]]], np.float32)
    region = select(library, score, 0.5)
    assert region.rows.tolist() == [1, 2, 3, 4]
    assert region.index.tolist() == [[[-1, 0, 1], [2, 3, -1]]]
    assert (region.grid.n, region.grid.h, region.grid.w) == (1, 2, 3)
    assert region.neighbours((1, 3), (1, 1), region).tolist() == [
        [-1, 0, 1], [0, 1, -1], [-1, 2, 3], [2, 3, -1],
    ]  # fmt: skip
    assert region.neighbours((1, 1), (1, 1), None)[:, 0].tolist() == [1, 2, 3, 4]
    children = select(library, np.zeros((1, 3, 6), np.float32), 0.5, within=region)
    assert len(children.rows) == 12
    assert children.parents(region)[:4, 0].tolist() == [0, 0, 1, 1]


def test_shapes_are_checked(library: NativeLibrary) -> None:
    score = np.zeros((1, 4, 4), np.float32)
    region = select(library, score, 1.0)
    with pytest.raises(ValueError, match=r"expected .* or half of it"):
        select(library, np.zeros((1, 9, 8), np.float32), 1.0, within=region)
    with pytest.raises(ValueError, match="mask of shape"):
        select(library, score, 1.0, mask=np.zeros((1, 4, 5), bool))
