from __future__ import annotations

import numpy as np
import pytest

from lc_trt.errors import LcTrtError
from lc_trt.runtime.native.conv import ConvInput, NativeConv
from lc_trt.runtime.native.element_type import ElementType
from lc_trt.runtime.native.library import NativeLibrary, Pool
from lc_trt.runtime.native.rows import Rows

F32 = ElementType.F32


def test_inputs_are_convolved_as_if_concatenated(library: NativeLibrary, pool: Pool) -> None:
    a = Rows.of(library, np.array([[1.0, 2], [3, 4]]), F32)
    b = Rows.of(library, np.array([[10.0]]), F32)
    weight = np.array([[1, 1, 1], [0, 2, 0]], np.float32).reshape(2, 3, 1, 1)
    conv = NativeConv(library, F32, [2, 1], weight, bias=np.array([0.5, -5], np.float32))
    inputs = [ConvInput(a), ConvInput(b, np.array([[0], [-1]], np.int32))]
    assert conv(pool, inputs, 2).values.tolist() == [[13.5, -1], [7.5, 3]]
    residual = ConvInput(a, np.array([[1], [0]], np.int32))
    out = conv(pool, inputs, 2, relu=True, residual=residual, residual_factor=2.0)
    assert out.values.tolist() == [[19.5, 7], [9.5, 7]]


def test_arguments_are_checked(library: NativeLibrary, pool: Pool) -> None:
    weight = np.ones((2, 3, 1, 1), np.float32)
    with pytest.raises(ValueError, match="weights for 3 channels, expected 4"):
        NativeConv(library, F32, [4], weight)
    with pytest.raises(ValueError, match="expected contiguous int8"):
        NativeConv(library, ElementType.S8, [3], weight)
    with pytest.raises(ValueError, match=r"shape \(3,\), expected \(2,\)"):
        NativeConv(library, F32, [3], weight, bias=np.ones(3, np.float32))
    conv = NativeConv(library, F32, [3], weight)
    rows = Rows.of(library, np.ones((5, 3)), F32)
    with pytest.raises(ValueError, match=r"inputs of \(3, 3\) channels, expected \(3,\)"):
        conv(pool, [ConvInput(rows)] * 2, 5)
    with pytest.raises(ValueError, match="table of shape"):
        conv(pool, [ConvInput(rows, np.zeros((5, 2), np.int32))], 5)
    with pytest.raises(ValueError, match="residual of 3, expected 2"):
        conv(pool, [ConvInput(rows)], 5, residual=ConvInput(rows))
    with pytest.raises(ValueError, match="expected contiguous int32"):
        conv(pool, [ConvInput(rows, np.zeros((5, 1), np.int64))], 5)


def test_what_the_library_does_not_take(library: NativeLibrary, pool: Pool) -> None:
    with pytest.raises(LcTrtError, match="1 to 121 positions"):
        NativeConv(library, F32, [1], np.ones((1, 1, 11, 13), np.float32))
    with pytest.raises(LcTrtError, match="at most 66311 products"):
        NativeConv(library, ElementType.U8, [7500], np.ones((1, 7500, 3, 3), np.int8))
    conv = NativeConv(library, F32, [1], np.ones((1, 1, 3, 3), np.float32))
    rows = Rows.of(library, np.ones((5, 1)), F32)
    with pytest.raises(LcTrtError, match="a window needs a table"):
        conv(pool, [ConvInput(rows)], 5)
