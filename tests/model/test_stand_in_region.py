"""Stand-ins in a published cascade, against zeros and the dense network."""

from __future__ import annotations

import copy
from functools import partial

import pytest
import torch
from torch import Tensor, nn

from lc_trt.model.cascade import Cascade
from lc_trt.model.irnet import irnet_trunk
from lc_trt.model.presets import initialise
from lc_trt.model.region import CompactRegion
from lc_trt.model.stand_in_region import CascadeStandIns, StandInRegion


@pytest.fixture(scope="module")
def model() -> Cascade:
    torch.manual_seed(0)
    model = initialise(Cascade(irnet_trunk((1, 1, 1), 0.125), 4, "plain", 8)).double().eval()
    for head in model.heads:
        for module in head.modules():
            if isinstance(module, nn.Conv2d):
                nn.init.normal_(module.weight, std=0.3)
    return model


@pytest.fixture(scope="module")
def image() -> Tensor:
    torch.manual_seed(1)
    return torch.randn(1, 3, 60, 76, dtype=torch.float64)


def median_rho(model: Cascade, x: Tensor) -> tuple[float, float]:
    first, second, _ = (logits.softmax(1).amax(1) for logits in model.deep(x))
    return float(first.median()), float(second.median())


def test_every_spatial_convolution_of_the_later_stages_has_one(model: Cascade) -> None:
    names = {id(module): name for name, module in model.named_modules()}
    found = [names[id(conv)] for conv in CascadeStandIns(model).convs]
    assert all(name.startswith(("stages.1", "stages.2", "heads.1", "heads.2")) for name in found)
    # Two per block, four of the reduction, one per head.
    assert len(found) == 2 + 4 + 2 + 2


@torch.inference_mode()
def test_perfect_stand_ins_give_the_dense_networks_logits(model: Cascade, image: Tensor) -> None:
    inputs: dict[nn.Module, Tensor] = {}
    hooks = [
        conv.register_forward_pre_hook(lambda module, x: inputs.update({module: x[0]}))
        for conv in CascadeStandIns(model).convs
    ]
    dense = model.deep(image)
    for hook in hooks:
        hook.remove()
    output = model(image, median_rho(model, image), partial(StandInRegion, maps=inputs))
    for region, logits, whole in zip(output.regions, output.logits[1:], dense[1:], strict=True):
        inside = region.hard.expand_as(whole)
        assert 0 < int(region.hard.sum()) < region.hard.numel()
        torch.testing.assert_close(logits[inside], whole[inside])


@torch.inference_mode()
def test_stand_ins_of_zero_are_the_published_form(model: Cascade, image: Tensor) -> None:
    _, (features,) = model.trunk(image)
    maps = {
        conv: features.new_zeros(1, conv.in_channels, *features.shape[2:])
        for conv in CascadeStandIns(model).convs
    }
    rho = median_rho(model, image)
    ours = model(image, rho, partial(StandInRegion, maps=maps))
    published = model(image, rho, CompactRegion)
    assert torch.equal(ours.stages, published.stages)
    torch.testing.assert_close(ours.probabilities, published.probabilities)


def test_fitted_stand_ins_are_closer_to_the_dense_network_than_zeros(
    model: Cascade, image: Tensor
) -> None:
    model, x = copy.deepcopy(model).float(), image.float()
    stand_ins = CascadeStandIns(model)
    with pytest.raises(ValueError, match="call fit first"):
        stand_ins.region(x)
    explained = stand_ins.fit([x])
    assert 0 < explained < 1
    with torch.inference_mode():
        dense, rho = model.deep(x), median_rho(model, x)
        _, (features,) = model.trunk(x)

        def error(form: object) -> float:
            output = model(x, rho, form)
            inside = output.regions[0].hard.expand_as(dense[1])
            return float((output.logits[1] - dense[1])[inside].square().mean())

        fitted, zeros = error(stand_ins.region(features)), error(CompactRegion)
    assert 0 < fitted < zeros
