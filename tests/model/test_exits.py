"""Exit rules: their formulas, and what every score promises."""

from __future__ import annotations

import hypothesis.strategies as st
import numpy as np
import pytest
import torch
from hypothesis import given, settings
from numpy.testing import assert_allclose
from tiny_encoder import tiny_encoder_cascade

from lc_trt.errors import UsageError
from lc_trt.model.exits import FITTED, RULES, ExitRules, PerClass, simulate_exits

CLASSES = 5


@pytest.fixture(scope="module")
def rules() -> ExitRules:
    return tiny_encoder_cascade(CLASSES, fitted=FITTED).exit_rules


def maps(rules: ExitRules, boundary: int, size: tuple[int, int]) -> torch.Tensor:
    """A random feature map with the channels that a learned rule reads there."""
    project = rules.rules["learned"].project[boundary - 1]
    return torch.randn(1, project.conv.in_channels, *size)


def random_probabilities(seed: int, size: tuple[int, int], sharpness: float) -> torch.Tensor:
    generator = torch.Generator().manual_seed(seed)
    return (sharpness * torch.randn(1, CLASSES, *size, generator=generator)).softmax(1)


@given(
    seed=st.integers(0, 1000), sharpness=st.floats(0, 40), name=st.sampled_from(RULES),
    height=st.integers(1, 9), width=st.integers(1, 9), boundary=st.sampled_from((1, 2)),
)  # fmt: skip
@settings(max_examples=60, deadline=None)
def test_scores_are_in_0_to_1(
    rules: ExitRules,
    seed: int,
    sharpness: float,
    name: str,
    height: int,
    width: int,
    boundary: int,
) -> None:
    p = random_probabilities(seed, (height, width), sharpness)
    with torch.inference_mode():
        score = rules.rules[name](boundary, p, maps(rules, boundary, (height, width)))
    assert score.shape == (1, 1, height, width)
    assert score.min() >= 0 and score.max() <= 1


def test_scores_against_numpy(rules: ExitRules) -> None:
    p = random_probabilities(3, (6, 7), 2.0)
    array = p[0].numpy().astype(np.float64)
    ordered = np.sort(array, 0)
    largest = ordered[-1]
    padded = np.pad(largest, 1, constant_values=1.0)
    smallest = np.min([padded[i : i + 6, j : j + 7] for i in range(3) for j in range(3)], 0)
    expected = {
        "largest": largest,
        "margin": largest - ordered[-2],
        "entropy": 1 + (array * np.log(array)).sum(0) / np.log(CLASSES),
        "neighbourhood": smallest,
    }
    assert expected.keys() == set(RULES) - set(FITTED)
    for name, values in expected.items():
        assert_allclose(rules.rules[name](1, p, None)[0, 0].numpy(), values, atol=1e-6)


def test_a_threshold_per_class_maps_to_the_reference() -> None:
    rule = PerClass(3)
    thresholds = torch.tensor([[0.5, 0.8, 0.9], [0.6, 0.7, 0.99]])
    rule.thresholds.copy_(thresholds)
    for boundary in (1, 2):
        for label, threshold in enumerate(thresholds[boundary - 1].tolist()):
            largest = np.linspace(0.4, 1, 61)
            p = torch.full((1, 3, 1, 61), 0.0)
            p[0, label, 0] = torch.from_numpy(largest).float()
            # The rest goes to the other classes alike: less than the largest everywhere.
            p[0, [k for k in range(3) if k != label], 0] = torch.from_numpy(
                (1 - largest) / 2
            ).float()
            score = rule(boundary, p, None)[0, 0, 0].double().numpy()
            knots = np.interp(largest, [0, threshold, 1], [0, PerClass.REFERENCE, 1])
            assert_allclose(score, knots, atol=1e-5)


def test_of_two_classes_that_are_equally_probable_the_smaller_score_counts() -> None:
    rule = PerClass(2)
    rule.thresholds[0] = torch.tensor([0.4, 0.9])
    score = rule(1, torch.full((1, 2, 1, 1), 0.5), None).item()
    assert score == pytest.approx(0.5 / 0.9 * PerClass.REFERENCE)


@pytest.mark.parametrize("name", RULES)
def test_a_cell_of_unknown_probability_has_no_score(rules: ExitRules, name: str) -> None:
    p = random_probabilities(1, (5, 5), 2.0)
    p[:, :, 2, 2] = torch.nan
    with torch.inference_mode():
        assert rules.rules[name](1, p, maps(rules, 1, (5, 5)))[0, 0, 2, 2].isnan()


@given(seed=st.integers(0, 1000), low=st.floats(0, 1), high=st.floats(0, 1))
@settings(max_examples=30, deadline=None)
def test_lower_thresholds_send_on_no_more_cells(seed: int, low: float, high: float) -> None:
    low, high = sorted((low, high))
    coarse = random_probabilities(seed, (4, 5), 3.0), random_probabilities(seed + 1, (4, 5), 3.0)
    stages = [*coarse, random_probabilities(seed + 2, (8, 9), 3.0)]

    def largest(boundary: int, p: torch.Tensor) -> torch.Tensor:
        return p.amax(1, keepdim=True)

    few = simulate_exits(stages, (low, 0.5), largest).stages
    many = simulate_exits(stages, (high, 0.5), largest).stages
    assert (few[many == 1] == 1).all()
    assert simulate_exits(stages, (1, 1), largest).stages.min() == 3


def test_stages_at_one_stride_are_merged_as_they_are() -> None:
    stages = [random_probabilities(seed, (4, 5), 3.0) for seed in range(3)]
    exits = simulate_exits(stages, (0.6, 0.9), lambda boundary, p: p.amax(1, keepdim=True))
    for number, p in enumerate(stages, 1):
        cells = (exits.stages == number).expand_as(p)
        assert torch.equal(exits.probabilities[cells], p[cells])
    assert set(exits.stages.unique().tolist()) == {1, 2, 3}
    assert torch.equal(exits.scores, exits.probabilities.amax(1, keepdim=True))


def test_rules_that_do_not_exist_or_are_not_fitted_are_refused() -> None:
    with pytest.raises(UsageError, match=r"unknown exit rule 'gini': expected largest, .*learned"):
        ExitRules(3, (4, 4), "gini")
    with pytest.raises(UsageError, match=r"'class' has no parameters yet: fit it with tools/"):
        ExitRules(3, (4, 4), "class", ("learned",))
    assert set(ExitRules(3, (4, 4)).rules) == set(RULES) - set(FITTED)
