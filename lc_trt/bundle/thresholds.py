"""Thresholds (rho) as people give them: where pixels leave the cascade."""

from __future__ import annotations

import math
from collections.abc import Sequence
from numbers import Real
from typing import TypeAlias

from lc_trt.errors import UsageError

# One number for both boundaries, one for each, or "fast".
Rho: TypeAlias = float | Sequence[float] | str

FAST = "fast"
_EXPECTED = "expected one or two numbers from 0 to 1, or fast"


def parse_rho(text: str) -> Rho:
    """``0.9``, ``0.9,0.8`` or ``fast``, from a command line."""
    if text == FAST:
        return FAST
    try:
        return as_pair([float(part) for part in text.split(",")])
    except (ValueError, UsageError):
        raise UsageError(f"rho {text}: {_EXPECTED}") from None


def as_pair(rho: float | Sequence[float]) -> tuple[float, float]:
    """Both thresholds, checked to be 0 to 1."""
    try:
        # Real takes NumPy's numbers too.
        values = [float(rho)] * 2 if isinstance(rho, float | Real) else [float(r) for r in rho]
    except (TypeError, ValueError):
        raise UsageError(f"rho {rho}: {_EXPECTED}") from None
    if len(values) == 1:
        values *= 2
    if len(values) != 2 or not all(math.isfinite(v) and 0 <= v <= 1 for v in values):
        raise UsageError(f"rho {rho}: {_EXPECTED}")
    return values[0], values[1]


def resolve_rho(
    rho: Rho | None,
    default: tuple[float, float] | None,
    fast: tuple[float, float] | None,
) -> tuple[float, float] | None:
    """The thresholds of one run; None for a dense network (whose ``default`` is None).

    Raises:
        UsageError: not 0 to 1, or given for a dense network.
    """
    if default is None:
        if rho is not None:
            raise UsageError(f"rho {rho!r}: the network is dense and has no stages to leave at")
        return None
    if rho is None:
        return default
    if isinstance(rho, str):
        if rho == FAST:
            return fast
        raise UsageError(f"rho {rho}: {_EXPECTED}")
    return as_pair(rho)
