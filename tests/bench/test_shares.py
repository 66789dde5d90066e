"""Target shares of a bench."""

from __future__ import annotations

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from lc_trt.bench.shares import jittered, parse_shares
from lc_trt.data.published import LC, LC_FAST
from lc_trt.errors import UsageError


@given(st.floats(0, 1), st.floats(0, 1), st.integers(1, 20).map(lambda n: 2 * n), st.integers(0, 9))
def test_jitter_keeps_the_mean(a: float, b: float, count: int, seed: int) -> None:
    shares = (a, (1 - a) * b, (1 - a) * (1 - b))
    drawn = jittered(shares, count, seed)
    assert len(drawn) == count
    assert np.mean(drawn, axis=0) == pytest.approx(shares, abs=1e-9)
    assert np.sum(drawn, axis=1) == pytest.approx(1)
    assert np.min(drawn) >= -1e-9
    assert np.abs(np.array(drawn)[:, :2] - shares[:2]).max() <= 0.1 * max(shares[:2]) + 1e-9


def test_jitter_changes_every_frame() -> None:
    drawn = jittered(LC_FAST.shares, 28, 0)
    assert len(set(drawn)) == 28
    assert drawn == jittered(LC_FAST.shares, 28, 0)
    assert drawn[:27] == jittered(LC_FAST.shares, 27, 0)


def test_shares_from_the_command_line() -> None:
    assert parse_shares("published") == {"LC": LC.shares, "LC fast": LC_FAST.shares}
    assert parse_shares("56/29/15") == {"LC fast": pytest.approx((0.56, 0.29, 0.15))}
    both = parse_shares("23/29/48,60/30/10")
    assert both == {
        "LC": pytest.approx((0.23, 0.29, 0.48)),
        "LC fast": pytest.approx((0.6, 0.3, 0.1)),
    }
    # Rounded percentages need not sum to 100 exactly.
    assert sum(parse_shares("33.3/33.3/33.3")["LC fast"]) == pytest.approx(1)


@pytest.mark.parametrize(
    "text",
    ["", "56", "56/29", "56/29/15/0", "56/29/25", "-1/51/50", "a/b/c", "nan/50/50", "inf/0/0"],
)
def test_wrong_shares(text: str) -> None:
    with pytest.raises(UsageError, match="expected three percentages that sum to 100"):
        parse_shares(text)


def test_too_many_shares() -> None:
    with pytest.raises(UsageError, match="3 triples"):
        parse_shares("56/29/15,56/29/15,56/29/15")
