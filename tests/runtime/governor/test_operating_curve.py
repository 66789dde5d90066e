"""The curve: between its bounds, no threshold ever falls, and the best of all such ways."""

from __future__ import annotations

from dataclasses import replace
from itertools import combinations, pairwise

import pytest
from fake_plant import FAST, TOP, tuned
from hypothesis import given
from hypothesis import strategies as st

from lc_trt.bundle.pareto_front import Front, FrontPoint
from lc_trt.errors import UsageError
from lc_trt.runtime.governor.operating_curve import find_operating_curve

share = st.floats(0, 1).map(lambda value: round(value, 3))


@st.composite
def fronts(draw: st.DrawFn, most: int = 12) -> Front:
    """Any front whose first point is below all others, as the fast setting is."""
    rhos = draw(st.lists(st.tuples(share, share), min_size=2, max_size=most, unique=True))
    fast = min(r[0] for r in rhos), min(r[1] for r in rhos)
    rhos = [fast, *(r for r in rhos if r != fast)]
    steps = draw(st.lists(st.floats(0.01, 50), min_size=len(rhos), max_size=len(rhos)))
    gains = draw(st.lists(st.floats(1e-4, 0.05), min_size=len(rhos), max_size=len(rhos)))
    points = tuple(
        FrontPoint(rho, sum(steps[: k + 1]), 0.0, sum(gains[: k + 1]), (1, 0, 0))
        for k, rho in enumerate(rhos)
    )
    top = max(r[0] for r in rhos), max(r[1] for r in rhos)
    return Front(points, top, "mIoU", 1, "drawn")


@given(fronts(), st.lists(st.floats(0, 1), min_size=2))
def test_between_the_bounds_and_never_falling(front: Front, levels: list[float]) -> None:
    curve = find_operating_curve(front)
    assert curve.points[0] == front.points[0] and curve.points[-1] == front.points[-1]
    assert curve.rho(0) == curve.points[0].rho and curve.rho(1) == curve.points[-1].rho
    for a, b in pairwise(sorted(levels)):
        for low, one, two, high in zip(
            front.points[0].rho, curve.rho(a), curve.rho(b), front.top, strict=True
        ):
            assert low <= one <= two <= high
    for level in levels:
        assert curve.level(curve.ms(level)) == pytest.approx(level, abs=1e-6)


@given(fronts(most=7))
def test_the_best_of_all_ways(front: Front) -> None:
    first, *middle, last = front.points

    def area(way: tuple[FrontPoint, ...]) -> float:
        return sum((b.ms - a.ms) * a.quality for a, b in pairwise(way))

    ways = [
        (first, *some, last)
        for count in range(len(middle) + 1)
        for some in combinations(middle, count)
    ]
    rising = [
        way
        for way in ways
        if all(a.rho[0] <= b.rho[0] and a.rho[1] <= b.rho[1] for a, b in pairwise(way))
    ]
    if rising:
        assert area(find_operating_curve(front).points) == pytest.approx(max(map(area, rising)))


@given(fronts(), st.tuples(share, share))
def test_a_quality_bound_is_not_passed(front: Front, bound: tuple[float, float]) -> None:
    try:
        curve = find_operating_curve(front, bound)
    except UsageError as error:
        assert "quality bound" in str(error)
        return
    for level in (0, 0.3, 0.7, 1):
        assert all(r <= most for r, most in zip(curve.rho(level), bound, strict=True))


def test_all_of_the_front_where_it_rises() -> None:
    curve = find_operating_curve(tuned())
    assert [p.rho for p in curve.points] == [p.rho for p in tuned().points]
    assert curve.rho(0) == FAST and curve.rho(1) == TOP
    assert curve.level(0) == curve.level(curve.least) == 0
    assert curve.level(1e9) == curve.level(curve.most) == 1
    # Halfway in time is halfway on the scale.
    assert curve.ms(0.5) == pytest.approx((curve.least + curve.most) / 2)


def test_bounds_that_leave_nothing() -> None:
    with pytest.raises(UsageError, match=r"tuned only up to 0\.995,0\.995; .*--rho 1,1"):
        find_operating_curve(tuned(), (1.0, 1.0))
    with pytest.raises(UsageError, match="no operating points between it and the fast"):
        find_operating_curve(tuned(), FAST)
    alone = replace(tuned(), points=tuned().points[:1])
    with pytest.raises(UsageError, match="no operating points"):
        find_operating_curve(alone)
