"""Options of a compilation; meaningless ones are refused."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from lc_trt.bundle.sections import Profile
from lc_trt.compiler.options import CompileOptions, Quantization
from lc_trt.compiler.precision import Precision
from lc_trt.errors import UsageError

SIDES = st.integers(32, 8192)


@given(size=st.tuples(SIDES, SIDES), batch=st.integers(1, 64), precision=st.sampled_from(Precision))
def test_plain_values_are_one_size_and_batch(
    size: tuple[int, int], batch: int, precision: Precision
) -> None:
    options = CompileOptions.of("openvino", size, batch, precision.value)
    assert options.fixed_shape() == (size, batch) and options.precision is precision
    assert options == CompileOptions("openvino", Profile.of(size), Profile.of(batch), precision)


def test_meaningless_options_are_refused() -> None:
    for arguments, message in (
        ({"precision": "fp8"}, "unknown precision 'fp8': expected fp32, fp16, bf16, int8"),
        ({"size": (31, 500)}, "size 31x500: expected HxW, each from 32 to 8192 pixels"),
        ({"size": Profile((64, 64), (64, 64), (64, 9000))}, "size 64x9000"),
        ({"batch": 0}, "batch 0: expected at least 1"),
    ):
        with pytest.raises(UsageError, match=message):
            CompileOptions.of("openvino", **arguments)  # type: ignore[arg-type]
    with pytest.raises(ValueError, match="fp16 takes no quantisation"):
        CompileOptions.of("openvino", precision="fp16", quantization=Quantization({}))


def test_a_profile_is_no_fixed_shape() -> None:
    for options in (CompileOptions.of("x"), CompileOptions.of("x", (64, 64), Profile(1, 2, 4))):
        with pytest.raises(ValueError, match="fixed size and batch"):
            options.fixed_shape()
    assert CompileOptions.of("x", batch=Profile(1, 2, 4)).at((64, 96), 3).fixed_shape() == (
        (64, 96),
        3,
    )


@pytest.mark.parametrize(("precision", "fallback", "floating"), [
    ("fp16", "fp32", "fp16"), ("int8", "bf16", "bf16"), ("fp32", "fp16", "fp32"),
])  # fmt: skip
def test_floating_point_is_in_the_precision_or_beside_int8_in_the_fallback(
    precision: str, fallback: str, floating: str
) -> None:
    options = CompileOptions.of("x", None, 1, precision, fallback)
    assert options.floating == floating
    plain = options.with_fp32()
    assert plain.floating is Precision.FP32
    assert (plain.precision is Precision.INT8) == (precision == "int8")
