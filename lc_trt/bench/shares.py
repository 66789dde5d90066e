"""Target exit shares of a bench."""

from __future__ import annotations

import numpy as np

from lc_trt.data.metrics import Shares
from lc_trt.data.published import POINTS
from lc_trt.errors import UsageError

JITTER = 0.1  # relative


def parse_shares(text: str) -> dict[str, Shares]:
    """Parse the value of ``--shares``.

    Args:
        text: ``56/29/15`` (percent) for LC fast, ``23/29/48,56/29/15`` for LC and LC fast, or
            ``published`` for the published shares of both.

    Returns:
        Shares per row, 0 to 1.

    Raises:
        UsageError: the text has another form, or the shares do not sum to 100.
    """
    if text == "published":
        return {row: point.shares for row, point in POINTS.items()}
    rows = list(POINTS)
    shares = [_fractions(item) for item in text.split(",")]
    if len(shares) > len(rows):
        raise UsageError(f"--shares {text}: {len(shares)} triples, expected at most LC,LC fast")
    return dict(zip(rows[-len(shares) :], shares, strict=True))


def _fractions(text: str) -> Shares:
    try:
        one, two, three = (float(number) for number in text.split("/"))
    except ValueError:
        one = two = three = -1.0
    total = one + two + three
    if not (min(one, two, three) >= 0 and abs(total - 100) <= 0.5):
        raise UsageError(
            f"--shares {text}: expected three percentages that sum to 100, such as 56/29/15, "
            "or published"
        )
    return one / total, two / total, three / total


def jittered(shares: Shares, count: int, seed: int, spread: float = JITTER) -> list[Shares]:
    """Draw shares whose mean is ``shares`` (for an odd count, except for the last one).

    In a video, the region sizes differ from frame to frame, which slows engines that compile per
    shape. Draws 2i and 2i + 1 deviate from ``shares`` by opposite amounts.

    Args:
        shares: the mean.
        count: number of draws.
        seed: of the draws.
        spread: largest deviation of the shares of stages 1 and 2, relative to them.
    """
    rng = np.random.default_rng(seed)
    first, second, third = shares
    room = min(spread, third / (first + second)) if first + second else 0.0  # no share below 0
    draws: list[Shares] = []
    while len(draws) < count:
        a, b = rng.uniform(-room, room, 2)
        for sign in (1, -1):
            one, two = first * (1 + sign * a), second * (1 + sign * b)
            draws.append((one, two, 1.0 - one - two))
    return draws[:count]
