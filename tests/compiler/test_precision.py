"""The precisions: their ONNX types, and what they have in common with each other."""

from __future__ import annotations

import ml_dtypes
import numpy as np
import pytest
from onnx import TensorProto, helper

from lc_trt.compiler.precision import Precision
from lc_trt.errors import UsageError

DTYPES = {"fp32": np.float32, "fp16": np.float16, "bf16": ml_dtypes.bfloat16, "int8": np.int8}


@pytest.mark.parametrize("precision", Precision)
def test_the_element_type_is_onnx_s_for_the_format(precision: Precision) -> None:
    assert helper.tensor_dtype_to_np_dtype(precision.element_type) == DTYPES[precision]
    assert TensorProto.DataType.Name(precision.element_type)


@pytest.mark.parametrize("precision", [p for p in Precision if not p.quantized])
def test_the_range_is_narrow_where_fp32_s_largest_value_does_not_fit(precision: Precision) -> None:
    largest = ml_dtypes.finfo(DTYPES[precision]).max
    # bfloat16 has FP32's exponent and fewer digits, so its largest value is just below.
    assert precision.narrow_range == (float(largest) < 0.9 * float(np.finfo(np.float32).max))
    bits = ml_dtypes.finfo(DTYPES[precision]).bits
    assert precision.reduced_float == (bits < 32)


def test_names_are_parsed_and_others_refused() -> None:
    assert [Precision.parse(str(p)) for p in Precision] == list(Precision)
    with pytest.raises(
        UsageError, match="unknown precision 'fp8': expected fp32, fp16, bf16, int8"
    ):
        Precision.parse("fp8")
