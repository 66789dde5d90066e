"""Zeros and stand-ins outside a region, beside the exact form."""

from __future__ import annotations

import hypothesis.strategies as st
import pytest
import torch
from hypothesis import given, settings
from tiny_encoder import tiny_encoder_cascade
from torch import Tensor

from lc_trt.model.encoder_cascade import EncoderCascade
from lc_trt.model.layers import double
from lc_trt.model.neighbours import Neighbours
from lc_trt.model.region import CompactRegion, MaskedRegion, repeat_children

CELLS = st.tuples(st.integers(9, 60), st.integers(9, 60), st.floats(0, 1), st.floats(0, 1))


@pytest.fixture(scope="module")
def models() -> dict[Neighbours, EncoderCascade]:
    return {form: tiny_encoder_cascade(neighbours=form).double() for form in Neighbours}


def thresholds(
    model: EncoderCascade, dense: list[Tensor], shares: tuple[float, float]
) -> list[float]:
    return [
        float(model.probabilities(logits, stage).amax(1).quantile(share))
        for stage, (logits, share) in enumerate(zip(dense, shares, strict=False), 1)
    ]


def images(height: int, width: int) -> Tensor:
    torch.manual_seed(height * 100 + width)
    return torch.randn(2, 3, height, width, dtype=torch.float64)


def test_without_exits_all_forms_are_one_network(models: dict[Neighbours, EncoderCascade]) -> None:
    x = images(45, 61)
    with torch.inference_mode():
        exact, *others = (model.deep(x) for model in models.values())
        for logits in others:
            for one, other in zip(logits, exact, strict=True):
                assert torch.equal(one, other)
        for model in models.values():
            torch.testing.assert_close(model(x, (1.0, 1.0)).logits[2], exact[2])


@given(case=CELLS)
@settings(max_examples=25, deadline=None)
@pytest.mark.parametrize("form", [Neighbours.ZEROS, Neighbours.STAND_IN])
def test_rows_and_masked_maps_agree(
    models: dict[Neighbours, EncoderCascade], form: Neighbours, case: tuple[int, int, float, float]
) -> None:
    height, width, *shares = case
    model, x = models[form], images(height, width)
    with torch.inference_mode():
        rho = thresholds(model, model.deep(x), (shares[0], shares[1]))
        compact, masked = model(x, rho, CompactRegion), model(x, rho, MaskedRegion)
    assert torch.equal(compact.stages, masked.stages)
    for rows, maps in zip(compact.logits, masked.logits, strict=True):
        torch.testing.assert_close(rows, maps)


@given(case=CELLS)
@settings(max_examples=25, deadline=None)
@pytest.mark.parametrize("form", [Neighbours.ZEROS, Neighbours.STAND_IN])
def test_stage_2_is_the_dense_convolution_of_the_map_that_the_form_reads(
    models: dict[Neighbours, EncoderCascade], form: Neighbours, case: tuple[int, int, float, float]
) -> None:
    """Stage 2's logits in the region, from dense layers alone."""
    height, width, *shares = case
    model, x = models[form], images(height, width)
    with torch.inference_mode():
        logits, maps = model.trunk(x)
        rho = thresholds(model, [logits], (shares[0], shares[1]))
        output = model(x, (*rho, 1.0))
        hard = output.regions[0].hard
        context = model.context(maps.features)
        outside = torch.zeros_like(context)
        if form is Neighbours.STAND_IN:
            outside = model.stand_in2(maps.guide)
        seen = torch.where(hard, context, outside)
        expected = model.head2(model.stage2(seen, [model.pointwise(maps.features)]))
    inside = hard.expand_as(expected)
    torch.testing.assert_close(output.logits[1][inside], expected[inside])


@given(case=CELLS)
@settings(max_examples=25, deadline=None)
@pytest.mark.parametrize("form", [Neighbours.ZEROS, Neighbours.STAND_IN])
def test_so_is_stage_3(
    models: dict[Neighbours, EncoderCascade], form: Neighbours, case: tuple[int, int, float, float]
) -> None:
    """All cells reach stage 2, so that what its children inherit is the dense network's."""
    height, width, *shares = case
    model, x = models[form], images(height, width)
    with torch.inference_mode():
        _, maps = model.trunk(x)
        second, _ = model.later(maps)
        (rho,) = thresholds(model, [second], (shares[0], shares[1]))
        output = model(x, (1.0, rho))
        hard, size = output.regions[1].hard, (maps.detail.shape[2], maps.detail.shape[3])
        outside = torch.zeros_like(maps.detail)
        if form is Neighbours.STAND_IN:
            outside = double(model.stand_in3(maps.guide), maps.detail)
        rows2 = model.stage2(model.context(maps.features), [model.pointwise(maps.features)])
        joined = [maps.detail, repeat_children(model.parent(rows2), size)]
        rows3 = model.stage3(torch.where(hard, maps.detail, outside), joined)
        expected = model.head3(rows3) + repeat_children(second, size)
    inside = hard.expand_as(expected)
    torch.testing.assert_close(output.logits[2][inside], expected[inside])


@pytest.mark.parametrize("form", Neighbours)
def test_only_the_exact_form_gives_the_whole_networks_logits(
    models: dict[Neighbours, EncoderCascade], form: Neighbours
) -> None:
    model, x = models[form], images(48, 64)
    assert model.exact == (form is Neighbours.EXACT)
    with torch.inference_mode():
        dense = model.deep(x)
        rho = thresholds(model, dense, (0.5, 0.5))
        output = model(x, rho)
        probabilities, stages = model.exits(x, dense, rho)
    assert torch.equal(stages, output.stages)
    torch.testing.assert_close(probabilities, output.probabilities)
    hard = output.regions[1].hard.expand_as(dense[2])
    assert torch.allclose(output.logits[2][hard], dense[2][hard]) == model.exact


def test_training_with_exits_reaches_the_stand_ins(
    models: dict[Neighbours, EncoderCascade],
) -> None:
    model = tiny_encoder_cascade(neighbours=Neighbours.STAND_IN)
    x = torch.randn(2, 3, 64, 64)
    with torch.no_grad():
        rho = thresholds(model, model.deep(x), (0.5, 0.5))
    output = model(x, rho)
    sum(logits.square().mean() for logits in output.logits).backward()
    without = [name for name, p in model.named_parameters() if p.grad is None]
    assert without == []
