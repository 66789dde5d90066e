"""The bounds hold as often as they say, in simulations with a known mean."""

from __future__ import annotations

import math
from collections.abc import Callable

import numpy as np
import numpy.typing as npt
import pytest
from hypothesis import given
from hypothesis import strategies as st
from hypothesis.extra import numpy as arrays

from lc_trt.evaluation.risk_control import (
    ConformalRiskControl,
    Empirical,
    LearnThenTest,
    RiskControl,
    cheapest_accepted,
    running_maximum,
)

Floats = npt.NDArray[np.float64]
REDRAWS = 1000
SHARES = st.floats(0, 1)
SIZES = st.tuples(st.integers(1, 30), st.integers(1, 12))
MATRICES = arrays.arrays(np.float64, SIZES, elements=SHARES)
POINTS, STEP = 26, 0.01  # of `rare`: the means are 0.25, 0.24, ... 0


def rare(rng: np.random.Generator, count: int) -> Floats:
    """All labels of an image change, or none: the next image counts as much as possible."""
    last = rng.integers(round(-0.75 / STEP), POINTS, count)  # where the image starts to be right
    return (np.arange(POINTS) < last[:, None]).astype(np.float64)


def shares(rng: np.random.Generator, count: int) -> Floats:
    """Shares of labels: a few images are hard. Not monotone, until the running maximum."""
    hardness = rng.gamma(0.5, 2.0, (count, 1))
    falling = np.geomspace(0.2, 0.001, 30)
    noise = rng.uniform(0.3, 1.7, (count, 30))
    losses = np.minimum(1, hardness * falling * noise)
    losses[:, -1] = 0  # without early exit
    return running_maximum(losses)


POPULATIONS: dict[str, Callable[[np.random.Generator, int], Floats]] = {
    "rare": rare,
    "shares": shares,
}


def chosen_risks(choose: Callable[[Floats], int | None], population: Floats, images: int) -> Floats:
    """The mean loss of the population at the point chosen on a sample, for each redraw."""
    rng = np.random.default_rng(1)
    means = population.mean(axis=0)
    risks = []
    for _ in range(REDRAWS):
        point = choose(population[rng.integers(0, len(population), images)])
        assert point is not None
        risks.append(means[point])
    return np.array(risks)


def naive(alpha: float) -> Callable[[Floats], int | None]:
    """The cheapest point whose mean on the sample is low enough."""
    return lambda losses: cheapest_accepted(losses.mean(axis=0) <= alpha)


def population(name: str) -> Floats:
    return POPULATIONS[name](np.random.default_rng(0), 20_000)


@pytest.mark.parametrize("name", POPULATIONS)
@pytest.mark.parametrize(("images", "alpha"), [(50, 0.1), (150, 0.02)])
def test_conformal_risk_control_holds_on_average(name: str, images: int, alpha: float) -> None:
    risks = chosen_risks(ConformalRiskControl(alpha).choose, population(name), images)
    error = risks.std() / math.sqrt(REDRAWS)
    assert risks.mean() <= alpha + 3 * error
    # It does not promise more than it has to: the loss is bounded by 1, and so is the term.
    assert risks.mean() >= alpha - 2 / (images + 1) - 3 * error - STEP


def test_without_the_finite_sample_term_the_promise_breaks() -> None:
    """The simulation can tell: the same choice by the plain mean exceeds the limit."""
    risks = chosen_risks(naive(0.1), population("rare"), 50)
    assert risks.mean() > 0.1 + 3 * risks.std() / math.sqrt(REDRAWS)


@pytest.mark.parametrize("name", POPULATIONS)
@pytest.mark.parametrize(
    ("images", "alpha", "confidence"), [(100, 0.1, 0.95), (250, 0.03, 0.95), (100, 0.05, 0.8)]
)
def test_learn_then_test_holds_as_often_as_it_says(
    name: str, images: int, alpha: float, confidence: float
) -> None:
    control = LearnThenTest(alpha, confidence)
    broken = chosen_risks(control.choose, population(name), images) > alpha
    allowed = 1 - confidence
    assert broken.mean() <= allowed + 3 * math.sqrt(allowed * confidence / REDRAWS)


@pytest.mark.parametrize("name", POPULATIONS)
def test_a_bound_on_average_is_no_bound_with_confidence(name: str) -> None:
    """The simulation can tell the forms apart."""
    risks = chosen_risks(ConformalRiskControl(0.1).choose, population(name), 100)
    assert (risks > 0.1).mean() > 0.05 + 3 * math.sqrt(0.05 * 0.95 / REDRAWS)


@pytest.mark.parametrize("mean", [0.01, 0.2])
def test_p_values_are_as_rare_as_they_say(mean: float) -> None:
    rng = np.random.default_rng(0)
    for draw in (
        lambda size: (rng.random(size) < mean).astype(np.float64),
        lambda size: rng.beta(mean * 5, (1 - mean) * 5, size),
    ):
        for level in (0.01, 0.05, 0.2):
            # Columns are independent samples of a mean that is not below alpha.
            p = LearnThenTest(mean, 1 - level).values(draw((300, 1000)))
            assert ((p > 0) & (p <= 1)).all()
            assert (p <= level).mean() <= level + 3 * math.sqrt(level / 1000)


def hoeffding_bentkus(losses: Floats, alpha: float) -> float:
    """The p-value of Hoeffding and Bentkus (Learn then Test, 2021)."""
    count, mean = len(losses), float(losses.mean())
    below = min(mean, alpha)
    entropy = (1 - below) * math.log((1 - below) / (1 - alpha))
    entropy += below * math.log(below / alpha) if below else 0
    terms = [
        math.lgamma(count + 1) - math.lgamma(k + 1) - math.lgamma(count - k + 1)
        + k * math.log(alpha) + (count - k) * math.log(1 - alpha)
        for k in range(math.ceil(count * mean) + 1)
    ]  # fmt: skip
    return min(math.exp(-count * entropy), math.e * sum(map(math.exp, terms)), 1)


def test_losses_that_vary_little_need_fewer_images_than_by_hoeffding_and_bentkus() -> None:
    losses = shares(np.random.default_rng(0), 600)
    control = LearnThenTest(0.01, 0.95)
    point = int(np.argmin(np.abs(losses.mean(axis=0) - 0.004)))
    assert control.values(losses)[point] <= 0.05 < hoeffding_bentkus(losses[:, point], 0.01)


@given(MATRICES)
def test_the_running_maximum(losses: Floats) -> None:
    found = running_maximum(losses)
    assert (np.diff(found, axis=1) <= 0).all()
    assert (found >= losses).all() and np.array_equal(found[:, -1], losses[:, -1])
    # The least such matrix: every value is one of the row, at that point or later.
    for k in range(losses.shape[1]):
        assert np.array_equal(found[:, k], losses[:, k:].max(axis=1))
    assert np.array_equal(running_maximum(found), found)


@given(MATRICES, SHARES, SHARES)
def test_a_lower_limit_never_chooses_a_cheaper_point(losses: Floats, a: float, b: float) -> None:
    losses = running_maximum(losses)
    for form in (ConformalRiskControl, Empirical):
        low, high = (form(limit).choose(losses) for limit in sorted((a, b)))
        assert low is None or (high is not None and high <= low)


@given(MATRICES)
def test_the_finite_sample_term(losses: Floats) -> None:
    n = len(losses)
    expected = n / (n + 1) * losses.mean(axis=0) + 1 / (n + 1)
    assert ConformalRiskControl(0.1).values(losses) == pytest.approx(expected)
    # It is the mean with one more image, on which everything changes.
    worst = np.vstack([losses, np.ones(losses.shape[1])])
    assert ConformalRiskControl(0.1).values(losses) == pytest.approx(worst.mean(axis=0))


@given(st.lists(st.booleans(), min_size=1, max_size=12))
def test_points_are_accepted_from_the_safest_on(accepted: list[bool]) -> None:
    found = cheapest_accepted(np.array(accepted))
    if found is None:
        assert not accepted[-1]
    else:
        assert all(accepted[found:]) and (found == 0 or not accepted[found - 1])


FORMS = [
    ConformalRiskControl(0.01),
    ConformalRiskControl(0.05),
    LearnThenTest(0.01, 0.95),
    LearnThenTest(0.05, 0.9),
]


@pytest.mark.parametrize("control", FORMS, ids=str)
@pytest.mark.parametrize("part", [0.0, 0.5])
def test_the_fewest_images_are_enough_and_one_less_is_not(
    control: RiskControl, part: float
) -> None:
    mean = part * control.alpha
    fewest = control.fewest_images(mean)
    assert fewest is not None
    for count, expected in ((fewest, 0), (fewest - 1, None)):
        assert control.choose(np.full((count, 1), mean)) == expected
    assert (largest := control.largest_mean(fewest)) is not None
    assert mean <= largest + 1e-12 and largest < control.alpha
    if not part:
        assert control.largest_mean(fewest - 1) is None


def test_how_many_images_it_takes() -> None:
    assert ConformalRiskControl(0.01).fewest_images() == 99
    assert ConformalRiskControl(0.005).fewest_images() == 199
    assert ConformalRiskControl(1.0).fewest_images() == 1
    # (1 - alpha) ** n <= 1 - confidence: no bound with confidence takes fewer.
    confident = LearnThenTest(0.01, 0.95).fewest_images()
    assert confident is not None and math.log(0.05) / math.log(0.99) <= confident < 320
    assert Empirical(0.01).fewest_images() == 1
    for control in (*FORMS, Empirical(0.1)):
        assert control.fewest_images(control.alpha + 0.01) is None
    assert ConformalRiskControl(0.01).largest_mean(98) is None
    assert ConformalRiskControl(0.01).largest_mean(199) == pytest.approx(0.01 - 0.99 / 199)
    assert Empirical(0.01).largest_mean(5) == pytest.approx(0.01)


def test_an_empirical_choice_has_no_term() -> None:
    losses = np.array([[0.02, 0.01, 0.005, 0.0]])
    assert Empirical(0.01).choose(losses) == 1
    assert Empirical(0.004).choose(losses) == 3
