"""Exact regions: whoever goes on gets the logits of the whole network."""

from __future__ import annotations

import hypothesis.strategies as st
import pytest
import torch
from hypothesis import given, settings
from tiny_encoder import tiny_encoder_cascade

from lc_trt.model.encoder_cascade import EncoderCascade
from lc_trt.model.exits import FITTED, RULES
from lc_trt.model.region import CompactRegion, MaskedRegion, Region

shares = st.floats(0, 1, allow_nan=False)
sides = st.integers(9, 70)


@pytest.fixture(scope="module")
def model() -> EncoderCascade:
    return tiny_encoder_cascade().double()


def quantile(confidence: torch.Tensor, share: float) -> float:
    """A threshold that about a share of the cells does not exceed."""
    values = confidence.flatten().sort().values
    return float(values[min(len(values) - 1, int(share * len(values)))])


@given(height=sides, width=sides, share2=shares, share3=shares, compact=st.booleans())
@settings(max_examples=40, deadline=None)
def test_cells_that_go_on_have_the_whole_networks_logits(
    model: EncoderCascade, height: int, width: int, share2: float, share3: float, compact: bool
) -> None:
    torch.manual_seed(height * 100 + width)
    region: type[Region] = CompactRegion if compact else MaskedRegion
    with torch.inference_mode():
        x = torch.randn(2, 3, height, width, dtype=torch.float64)
        dense = model.deep(x)
        rho = [
            quantile(model.probabilities(z, i).amax(1), share)
            for i, (z, share) in enumerate(zip(dense, (share2, share3), strict=False), 1)
        ]
        output = model(x, rho, region)
        for logits, whole, reached in zip(
            output.logits[1:], dense[1:], output.regions, strict=True
        ):
            difference = (logits - whole).abs().amax(1, keepdim=True)[reached.hard]
            assert not difference.numel() or difference.max() < 1e-9
        probabilities, stages = model.exits(x, dense, rho)
    assert torch.equal(stages, output.stages)
    torch.testing.assert_close(probabilities, output.probabilities)
    assert output.stages.shape[2:] == (-(-height // 4), -(-width // 4))


@pytest.mark.parametrize("rule", RULES)
def test_every_exit_rule_decides_in_the_cascade_as_in_its_simulation(rule: str) -> None:
    model = tiny_encoder_cascade(exit_rule=rule, fitted=FITTED).double()
    torch.manual_seed(2)
    x = torch.randn(2, 3, 45, 61, dtype=torch.float64)
    with torch.inference_mode():
        first = model(x, (-1.0, -1.0)).confidence
        rho1 = quantile(first, 0.5)
        second = model(x, (rho1, -1.0))
        rho2 = quantile(second.confidence[second.stages == 2], 0.5)
        output = model(x, (rho1, rho2))
        probabilities, stages = model.exits(x, model.deep(x), (rho1, rho2))
    assert set(output.stages.unique().tolist()) == {1, 2, 3}
    assert torch.equal(stages, output.stages)
    torch.testing.assert_close(probabilities, output.probabilities)
    # Confidences are the scores that were compared with the thresholds.
    assert (output.confidence[output.stages == 1] > rho1).all()
    assert (output.confidence[output.stages == 2] > rho2).all()
    assert (first[output.stages > 1] <= rho1).all()
    assert (second.confidence[output.stages == 3] <= rho2).all()
    largest = output.probabilities.amax(1, keepdim=True)
    assert torch.equal(output.confidence[output.stages == 3], largest[output.stages == 3])


def test_without_exits_it_is_the_dense_network(model: EncoderCascade) -> None:
    x = torch.randn(1, 3, 45, 61, dtype=torch.float64)
    with torch.inference_mode():
        output = model(x, (1.0, 1.0))
        last = model.deep(x)[2]
    torch.testing.assert_close(output.logits[2], last)
    assert (output.stages == 3).all()


def test_without_going_on_it_is_the_first_stage(model: EncoderCascade) -> None:
    x = torch.randn(1, 3, 45, 61, dtype=torch.float64)
    with torch.inference_mode():
        output = model(x, (-1.0, -1.0))
    assert (output.stages == 1).all()
    assert not any(region.hard.any() for region in output.regions)


def test_a_cell_of_unknown_confidence_goes_on(model: EncoderCascade) -> None:
    with torch.inference_mode():
        output = model(torch.full((1, 3, 32, 32), torch.nan, dtype=torch.float64), (0.0, 0.0))
    assert (output.stages == 3).all()


def test_a_childs_parent_is_always_in_the_region_above(model: EncoderCascade) -> None:
    torch.manual_seed(1)
    with torch.inference_mode():
        output = model(torch.randn(1, 3, 64, 64, dtype=torch.float64), (0.5, 0.9))
    above, below = (region.hard for region in output.regions)
    assert below.any() and not above.all()
    coarse = torch.nn.functional.max_pool2d(below.float(), 2).bool()
    assert not (coarse & ~above).any()


def test_training_reaches_every_parameter() -> None:
    model = tiny_encoder_cascade().train()
    sum(logits.square().mean() for logits in model.deep(torch.randn(2, 3, 64, 64))).backward()
    without = [name for name, p in model.named_parameters() if p.grad is None]
    assert without == []


def test_batch_norms_of_the_encoder_keep_their_statistics() -> None:
    model = tiny_encoder_cascade().train()
    before = model.encoder.stages[0][0].bn.running_mean.clone()
    model.deep(torch.randn(2, 3, 64, 64))
    assert torch.equal(model.encoder.stages[0][0].bn.running_mean, before)


def test_new_parameters_are_those_outside_the_encoder() -> None:
    model = tiny_encoder_cascade()
    count = sum(p.numel() for p in model.new_parameters())
    encoder = sum(p.numel() for p in model.encoder.parameters())
    assert count + encoder == sum(p.numel() for p in model.parameters())
