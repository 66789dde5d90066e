"""The emulated convolution beside its ONNX function in ONNX Runtime, on rows of any source."""

from __future__ import annotations

import numpy as np
import pytest
from function_cases import call
from hypothesis import Phase, given, settings
from hypothesis import strategies as st
from onnx import TensorProto
from plugin_cases import valid_part
from plugin_conv_cases import CodeConv, Conv, ConvCase, conv_of

from lc_trt.ir.operator_schema import Form, OutputType
from lc_trt.ir.plugin_functions import plugin_function
from lc_trt.ir.region_ops import REGION_CONV

TYPES = {
    "float32": TensorProto.FLOAT, "float16": TensorProto.FLOAT16, "int8": TensorProto.INT8,
}  # fmt: skip
# Of the function, which rounds after each step; of 1 in FP16.
TOLERANCE = {"float32": 2e-5, "float16": 1e-2}


def function_of(conv: Conv) -> np.ndarray:
    """What ONNX Runtime makes of the function's body, [count, Cout]."""
    case, count = conv.case, conv.region.size
    output = OutputType.INT8 if case.dtype == "int8" else None
    *xs, residual = conv.rows
    feed = {f"x_{i}": x for i, x in enumerate(xs)}
    feed |= {
        "rows": np.flatnonzero(conv.region.mask).astype(np.int32),
        "index": conv.numbers.astype(np.int32),
        "count": np.array([count], np.int32),
        "weight": np.ascontiguousarray(np.moveaxis(conv.weight, 1, 3)),
    }
    if isinstance(conv, CodeConv):
        feed["scale"] = conv.scale
    feed |= {"bias": conv.bias, "residual": residual}
    function = plugin_function(REGION_CONV, Form(len(xs), output))
    (y,) = call("RegionConv", feed, {"y": (TYPES[case.dtype], 2)}, function, **conv.attributes())
    return y


# Not shrunk: an example builds a session.
@pytest.mark.parametrize("dtype", TYPES)
@settings(max_examples=10, phases=(Phase.generate,))
@given(
    source=st.sampled_from(["region", "map", "parents"]),
    size=st.tuples(st.integers(1, 2), st.integers(1, 8), st.integers(1, 9)),
    share=st.sampled_from(["empty", "one", "full", 0.3, 0.7]),
    kernel=st.sampled_from([(3, 3), (1, 5), (5, 3)]),
    dilation=st.integers(1, 4),
    segments=st.sampled_from([((16, 0, 16),), ((24, 3, 20), (9, 0, 9))]),
    relu=st.booleans(),
    seed=st.integers(0, 99),
)
def test_the_kernel_computes_the_function(
    emulator, dtype, source, size, share, kernel, dilation, segments, relu, seed
):
    case = ConvCase(
        segments, 20, kernel, (dilation, dilation), size, share, dtype, bias_dtype="float32",
        source=source, residual=True, scale=0.5, relu=relu, seed=seed,
    )  # fmt: skip
    conv = conv_of(emulator, case)
    conv.fill(share)
    conv.launch()
    found, expected = valid_part(conv.y, conv.region.size), function_of(conv)
    if dtype == "int8":  # beside a tie, the function's other rounding gives the neighbour
        difference = np.abs(found.astype(int) - expected.astype(int))
        assert difference.max(initial=0) <= 1 and difference.sum() <= 0.02 * difference.size
        return
    tolerance = TOLERANCE[dtype]
    np.testing.assert_allclose(
        found.astype(np.float64), expected.astype(np.float64), rtol=tolerance, atol=tolerance
    )
