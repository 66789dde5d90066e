"""Thresholds, from options."""

from __future__ import annotations

import pytest
from parsed_options import parsed

from lc_trt.bundle.thresholds import FAST
from lc_trt.cli.option_groups.thresholds import DefaultThresholds, GovernedRho, Rho, RhoOrFast
from lc_trt.errors import UsageError


def test_one_number_is_both_thresholds() -> None:
    assert parsed(Rho).pair() is None
    assert parsed(Rho, "--rho", "0.9").pair() == (0.9, 0.9)
    assert parsed(Rho, "--rho", "0.9,0.8").pair() == (0.9, 0.8)
    with pytest.raises(UsageError, match="--rho: "):
        parsed(Rho, "--rho", "0.9,0.8,0.7").pair()


def test_fast_thresholds_are_an_option_of_their_own() -> None:
    both = parsed(DefaultThresholds, "--rho", "0.9", "--fast-rho", "0.5,0.4")
    assert (both.pair(), both.fast_pair()) == ((0.9, 0.9), (0.5, 0.4))
    assert parsed(DefaultThresholds, "--rho", "0.9").fast_pair() is None
    with pytest.raises(UsageError, match="--fast-rho: "):
        parsed(DefaultThresholds, "--fast-rho", "2").fast_pair()


@pytest.mark.parametrize("group", [RhoOrFast, GovernedRho])
def test_fast_names_the_bundle_s_fast_ones(group: type[RhoOrFast]) -> None:
    assert parsed(group).rho_or_fast() is None
    assert parsed(group, "--rho", "fast").rho_or_fast() == FAST
    assert parsed(group, "--rho", "0.9,0").rho_or_fast() == (0.9, 0)
    with pytest.raises(UsageError, match="rho quick: expected"):
        parsed(group, "--rho", "quick").rho_or_fast()


def test_a_rate_is_above_zero() -> None:
    assert parsed(GovernedRho, "--target-fps", "23.6").target_fps == 23.6
    for rate in ("0", "-1", "1e9"):
        with pytest.raises(SystemExit, match="2"):
            parsed(GovernedRho, "--target-fps", rate)
