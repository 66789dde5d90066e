"""Early-exit thresholds (rho) as users specify them."""

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
    """Parse thresholds from the command line.

    Args:
        text: ``0.9``, ``0.9,0.8`` or ``fast``.

    Raises:
        UsageError: none of these.
    """
    if text == FAST:
        return FAST
    try:
        return as_pair([float(part) for part in text.split(",")])
    except (ValueError, UsageError):
        raise UsageError(f"rho {text}: {_EXPECTED}") from None


def as_pair(rho: float | Sequence[float]) -> tuple[float, float]:
    """Thresholds of boundaries 1|2 and 2|3.

    Args:
        rho: one threshold for both boundaries, or one per boundary, 0 to 1 each.

    Raises:
        UsageError: neither, or out of range.
    """
    try:
        # Real includes NumPy scalars.
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
    """Resolve thresholds to one per boundary; None for a dense network.

    Args:
        rho: one threshold for both boundaries, one per boundary, ``"fast"``, or None for the
            default.
        default: default thresholds; None for a dense network.
        fast: thresholds for ``"fast"``; None for a dense network.

    Raises:
        UsageError: out of range, or thresholds for a dense network.
    """
    if default is None:
        if rho is not None:
            raise UsageError(f"rho {rho!r}: the network is dense and has no thresholds")
        return None
    if rho is None:
        return default
    if isinstance(rho, str):
        if rho == FAST:
            return fast
        raise UsageError(f"rho {rho}: {_EXPECTED}")
    return as_pair(rho)
