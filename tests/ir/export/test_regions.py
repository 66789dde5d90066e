"""Maps as rows, and regions at half the stride, in ONNX Runtime."""

from __future__ import annotations

import numpy as np
import torch
from emitted import run_emitted
from hypothesis import given
from hypothesis import strategies as st

from lc_trt.ir.export.regions import Children, all_rows
from lc_trt.ir.operator_schema import Region
from lc_trt.model.region import repeat_children

sizes = st.tuples(st.integers(1, 2), st.integers(1, 9), st.integers(1, 9))


@given(size=sizes)
def test_all_rows_with_the_identity_as_index(size):
    n, h, w = size
    x = torch.randn(n, 3, h, w)

    def emit(b, names):
        source = all_rows(b, names[0])
        return [source.rows, source.index]

    rows, index = run_emitted(emit, [x])
    np.testing.assert_array_equal(rows, x.permute(0, 2, 3, 1).reshape(-1, 3).numpy())
    assert index.dtype == np.int32 and index.shape == size
    np.testing.assert_array_equal(index.ravel(), np.arange(1, n * h * w + 1))


@given(size=sizes)
def test_children_of_a_region(size):
    n, h, w = size
    fine = torch.zeros(n, 4, h, w)
    coarse = (n, -(-h // 2), -(-w // 2))
    index = torch.arange(np.prod(coarse)).reshape(coarse).int()
    hard = (index % 2).bool()[:, None]

    def emit(b, names):
        like, parent_index, parent_hard = names
        parent = Region("rows", parent_index, "count", parent_hard)
        region = Children(b, like).region(parent)
        assert (region.rows, region.count) == ("rows", "count")
        return [region.index, region.hard]

    results = run_emitted(emit, [fine, index, hard])
    expected = repeat_children(index[:, None], (h, w))[:, 0], repeat_children(hard, (h, w))
    for result, value in zip(results, expected, strict=True):
        np.testing.assert_array_equal(result, value.numpy())
