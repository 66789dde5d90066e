"""The operators' schemas agree with each other and with the functions made from them."""

from __future__ import annotations

import onnx
import pytest

from lc_trt.ir.functions import region_function
from lc_trt.ir.region_ops import (
    COUNT,
    EXCHANGE_OPERATORS,
    INDEX,
    OPERATORS,
    REGION_QUANTIZE,
    ROW_OPERATORS,
    ROWS,
)


def test_the_exchange_format_has_no_operator_of_plugins_only():
    assert REGION_QUANTIZE not in EXCHANGE_OPERATORS
    assert len(EXCHANGE_OPERATORS) == len(OPERATORS) - 1
    for operator in EXCHANGE_OPERATORS:
        onnx.checker.check_function(region_function(operator))


@pytest.mark.parametrize("operator", OPERATORS.values(), ids=lambda o: o.name)
def test_the_tensors_of_a_region_are_the_same_everywhere(operator):
    shared = {tensor.name: tensor for tensor in (ROWS, INDEX, COUNT)}
    for tensor in operator.inputs:
        if tensor.name in shared:
            expected = shared[tensor.name]
            assert (tensor.shape, tensor.types) == (expected.shape, expected.types)


@pytest.mark.parametrize("operator", OPERATORS.values(), ids=lambda o: o.name)
def test_row_operators_are_those_that_make_rows(operator):
    assert (operator in ROW_OPERATORS) == operator.outputs[0].shape.startswith("[R")
