"""Thresholds as people give them."""

from __future__ import annotations

from typing import Any

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from lc_trt.bundle.thresholds import as_pair, parse_rho, resolve_rho
from lc_trt.errors import UsageError

DEFAULT, FAST = (0.985, 0.97), (0.8, 0.7)


@pytest.mark.parametrize(
    ("text", "expected"),
    [("0.9", (0.9, 0.9)), ("0.9,0.8", (0.9, 0.8)), ("0, 1", (0, 1)), ("1", (1, 1))],
)
def test_text_is_one_number_or_two(text: str, expected: tuple[float, float]) -> None:
    assert parse_rho(text) == expected


def test_fast_and_none_come_from_the_bundle() -> None:
    assert resolve_rho(parse_rho("fast"), DEFAULT, FAST) == FAST
    assert resolve_rho(None, DEFAULT, FAST) == DEFAULT


@pytest.mark.parametrize(
    "text", ["", "1.2", "-0.1", "nan", "inf", "abc", "0.9,", "0.9;0.8", "0.9,0.8,0.7", "FAST"]
)
def test_a_wrong_text_is_named(text: str) -> None:
    with pytest.raises(UsageError) as caught:
        parse_rho(text)
    assert str(caught.value).startswith(f"rho {text}: expected one or two numbers from 0 to 1")


@given(st.floats())
def test_any_number_is_taken_or_refused(value: float) -> None:
    if 0 <= value <= 1:
        assert as_pair(value) == as_pair([value]) == (value, value)
    else:
        with pytest.raises(UsageError):
            as_pair(value)


def test_arrays_and_numpy_numbers_are_numbers() -> None:
    assert resolve_rho(np.float32(0.5), DEFAULT, FAST) == (0.5, 0.5)
    assert resolve_rho(np.array([0.5, 0.25]), DEFAULT, FAST) == (0.5, 0.25)  # type: ignore[arg-type]


@pytest.mark.parametrize("value", ["slow", [], [0.1, 0.2, 0.3], ["a"], object(), [None, None]])
def test_what_is_no_threshold_is_refused(value: Any) -> None:
    with pytest.raises(UsageError, match="expected one or two numbers"):
        resolve_rho(value, DEFAULT, FAST)


def test_a_dense_network_takes_none() -> None:
    assert resolve_rho(None, None, None) is None
    for rho in (0.5, "fast"):
        with pytest.raises(UsageError, match="dense"):
            resolve_rho(rho, None, None)
