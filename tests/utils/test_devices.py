"""Names of devices."""

from __future__ import annotations

from typing import Any

import pytest

from lc_trt.errors import UsageError
from lc_trt.utils.devices import parse_device


@pytest.mark.parametrize(
    ("given", "expected"),
    [
        (None, None),
        ("cpu", "cpu"),
        ("cuda", "cuda"),
        ("cuda:1", "cuda:1"),
        ("0", "cuda:0"),
        (0, "cuda:0"),
        (12, "cuda:12"),
        ("cuda:007", "cuda:7"),
    ],
)
def test_a_device_has_one_name(given: Any, expected: str | None) -> None:
    assert parse_device(given) == expected


@pytest.mark.parametrize(
    "given", ["", "gpu", "cuda:", "cuda:-1", "-1", "1,2", "CUDA", "cuda:1 ", True, 1.0, -1]
)
def test_what_is_none_is_refused(given: Any) -> None:
    with pytest.raises(UsageError, match=r"expected cpu, cuda, cuda:N or a GPU's number") as caught:
        parse_device(given)
    assert "\n" not in str(caught.value)
