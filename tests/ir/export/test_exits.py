"""Exit rules in ONNX Runtime against PyTorch."""

from __future__ import annotations

import numpy as np
import pytest
import torch
from emitted import run_emitted
from tiny_encoder import tiny_encoder_cascade
from tiny_networks import CLASSES, INFO, MEAN, STD, frames, run, session, to_input

from lc_trt.ir.export import export_cascade
from lc_trt.ir.export.exits import emit_score
from lc_trt.model.exits import FITTED, RULES


def inputs(features: int) -> list[torch.Tensor]:
    """Probabilities from even to certain, and a feature map."""
    generator = torch.Generator().manual_seed(3)
    sharpness = torch.linspace(0, 40, 9)
    logits = torch.randn(2, CLASSES, 7, 9, generator=generator) * sharpness
    return [logits.softmax(1), torch.randn(2, features, 7, 9, generator=generator)]


@pytest.mark.parametrize("boundary", [1, 2])
@pytest.mark.parametrize("name", RULES)
def test_scores_are_those_of_pytorch(name, boundary):
    rules = tiny_encoder_cascade(CLASSES, fitted=FITTED).exit_rules
    probabilities, features = inputs(rules.channels[boundary - 1])
    rule = rules.rules[name]
    (score,) = run_emitted(
        lambda b, names: [emit_score(rule, b, boundary, *names)], [probabilities, features]
    )
    with torch.no_grad():
        expected = rule(boundary, probabilities, features).numpy()
    assert score.shape == expected.shape and np.ptp(expected) > 0.1
    np.testing.assert_allclose(score, expected, atol=1e-5)
    assert score.min() >= 0 and score.max() <= 1


@pytest.mark.parametrize("name", RULES)
def test_a_cell_of_unknown_probability_goes_on(name):
    rules = tiny_encoder_cascade(CLASSES, fitted=FITTED).exit_rules
    probabilities, features = inputs(rules.channels[0])
    probabilities[:, :, 3, 4] = torch.nan
    (score,) = run_emitted(
        lambda b, names: [emit_score(rules.rules[name], b, 1, *names)], [probabilities, features]
    )
    assert not (score[:, :, 3, 4] > 0).any()  # compared as RegionSelect compares it


def widest_gap(scores: torch.Tensor) -> float:
    """A threshold that no score is close to, in the middle half of them."""
    ordered = scores.flatten().sort().values
    middle = ordered[len(ordered) // 4 : 3 * len(ordered) // 4]
    widest = int(middle.diff().argmax())
    return float(middle[widest] + middle[widest + 1]) / 2


@pytest.mark.parametrize("name", RULES)
def test_cascades_exit_as_in_pytorch(name):
    model = tiny_encoder_cascade(CLASSES, exit_rule=name, fitted=FITTED)
    exported, images = session(export_cascade(model, INFO, MEAN, STD)), frames(2, (45, 61))
    x = to_input(images)
    with torch.no_grad():
        rho1 = widest_gap(model(x, (-1, -1)).confidence)
        second = model(x, (rho1, -1))
        rho = rho1, widest_gap(second.confidence[second.stages == 2])
        expected = model(x, rho)
    outputs = run(exported, images, rho)
    assert set(np.unique(outputs["stages"])) == {1, 2, 3}
    assert np.array_equal(outputs["stages"], expected.stages[:, 0].numpy())
    np.testing.assert_allclose(outputs["confidence"], expected.confidence[:, 0].numpy(), atol=1e-4)
    without = run(exported, images, (1, 1))
    assert (without["stages"] == 3).all()


def test_a_rule_without_an_emitter_is_named():
    with pytest.raises(TypeError, match="no ONNX form for Identity"):
        emit_score(torch.nn.Identity(), None, 1, "p", "x")
