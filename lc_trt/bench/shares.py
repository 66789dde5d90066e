"""Shares of pixels that a bench aims at."""

from __future__ import annotations

import numpy as np

from lc_trt.data.metrics import Shares
from lc_trt.data.published import POINTS
from lc_trt.errors import UsageError

JITTER = 0.1  # relative


def parse_shares(text: str) -> dict[str, Shares]:
    """Target shares by row, from a command line.

    ``56/29/15`` (percent) is for LC fast, ``23/29/48,56/29/15`` for LC and LC fast, and
    ``published`` stands for the published ones of both.
    """
    if text == "published":
        return {row: point.shares for row, point in POINTS.items()}
    rows = list(POINTS)
    found = [_fractions(part) for part in text.split(",")]
    if len(found) > len(rows):
        raise UsageError(f"shares {text!r}: {len(found)} of them, expected at most LC,LC fast")
    return dict(zip(rows[-len(found) :], found, strict=True))


def _fractions(text: str) -> Shares:
    try:
        one, two, three = (float(part) for part in text.split("/"))
    except ValueError:
        one = two = three = -1.0
    total = one + two + three
    if not (min(one, two, three) >= 0 and abs(total - 100) <= 0.5):
        raise UsageError(
            f"shares {text!r}: expected three percentages that sum to 100, such as 56/29/15, "
            "or published"
        )
    return one / total, two / total, three / total


def jittered(shares: Shares, count: int, seed: int, spread: float = JITTER) -> list[Shares]:
    """``count`` shares around ``shares``, whose mean it is (for an odd count, up to one draw).

    Each frame of a video has regions of other sizes, which engines that compile for a shape
    feel. Frames 2i and 2i + 1 differ from ``shares`` by opposite amounts, of up to ``spread``
    of stage 1's and of stage 2's share.
    """
    rng = np.random.default_rng(seed)
    first, second, third = shares
    room = min(spread, third / (first + second)) if first + second else 0.0  # no share below 0
    drawn: list[Shares] = []
    while len(drawn) < count:
        a, b = rng.uniform(-room, room, 2)
        for sign in (1, -1):
            one, two = first * (1 + sign * a), second * (1 + sign * b)
            drawn.append((one, two, 1.0 - one - two))
    return drawn[:count]
