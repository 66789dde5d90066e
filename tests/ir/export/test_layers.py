"""Emitters of layers in ONNX Runtime against PyTorch."""

from __future__ import annotations

import numpy as np
import pytest
import torch
from emitted import run_emitted
from hypothesis import given
from hypothesis import strategies as st

from lc_trt.ir.export.layers import array, emit
from lc_trt.model.layers import Conv, MaxPool


@given(
    size=st.tuples(st.integers(1, 12), st.integers(1, 12)),
    kernel=st.sampled_from([1, 3, 5]),
    stride=st.sampled_from([1, 2]),
    groups=st.sampled_from([1, 2, 4]),
    same_upper=st.booleans(),
    ceiling=st.sampled_from([None, 0.5]),
    norm=st.booleans(),
)
def test_conv(size, kernel, stride, groups, same_upper, ceiling, norm):
    torch.manual_seed(kernel)
    conv = Conv(
        4, 8, kernel, stride=stride, groups=groups, same_upper=same_upper, ceiling=ceiling,
        norm=norm,
    ).eval()  # fmt: skip
    x = torch.randn(2, 4, *size)
    result = run_emitted(lambda b, names: [emit(conv, b, names[0], None)], [x])[0]
    with torch.no_grad():
        np.testing.assert_allclose(result, conv(x).numpy(), atol=1e-5)


@pytest.mark.parametrize("stride", [1, 2])
def test_max_pool(stride):
    pool, x = MaxPool(stride=stride), torch.rand(1, 3, 9, 8)
    result = run_emitted(lambda b, names: [emit(pool, b, names[0], None)], [x])[0]
    np.testing.assert_array_equal(result, pool(x).numpy())


def test_array_of_any_floating_type():
    values = array(torch.nn.Parameter(torch.tensor([1.5], dtype=torch.bfloat16)))
    assert values.dtype == np.float32 and values.tolist() == [1.5]


def test_a_module_without_an_emitter_is_named():
    with pytest.raises(TypeError, match="no ONNX form for Linear"):
        emit(torch.nn.Linear(1, 1), None, "x", None)
