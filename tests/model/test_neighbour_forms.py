"""The forms of one network, on the same stage 1."""

from __future__ import annotations

import pytest
import torch
from tiny_encoder import tiny_encoder_cascade
from torch import Tensor, nn

from lc_trt.model.cascade import Cascade
from lc_trt.model.irnet import irnet_trunk
from lc_trt.model.neighbour_forms import (
    FORMS,
    EncoderForms,
    NeighbourForms,
    OpenImage,
    PublishedForms,
)
from lc_trt.model.neighbours import Neighbours
from lc_trt.model.presets import initialise


@pytest.fixture(scope="module")
def x() -> Tensor:
    torch.manual_seed(2)
    return torch.randn(1, 3, 60, 76)


def published(x: Tensor) -> PublishedForms:
    torch.manual_seed(0)
    model = initialise(Cascade(irnet_trunk((1, 1, 1), 0.125), 4, "plain", 8)).eval()
    for module in model.heads.modules():
        if isinstance(module, nn.Conv2d):
            nn.init.normal_(module.weight, std=0.05)
    return PublishedForms(model, [x])


def on_encoder(x: Tensor) -> EncoderForms:
    networks = {form: tiny_encoder_cascade(neighbours=form) for form in FORMS}
    for model in networks.values():
        model.temperatures *= 20  # so that no probability is 0 or 1
    return EncoderForms(networks, Neighbours.EXACT, [x])


def medians(forms: NeighbourForms, image: OpenImage) -> list[float]:
    """Thresholds at which about half of the cells exit at each boundary."""
    temperatures = getattr(forms.network, "temperatures", torch.ones(3))
    stages = zip(image.logits[:2], temperatures[:2], strict=True)
    return [float((z / t).softmax(1).amax(1).median()) for z, t in stages]


@pytest.mark.parametrize("build", [published, on_encoder])
def test_forms_differ_only_behind_the_first_exit(build: type[NeighbourForms], x: Tensor) -> None:
    forms = build(x)
    assert forms.forms == FORMS
    assert all(0 < share < 1 for share in forms.explained)
    with torch.inference_mode():
        image = forms.open(x)
        whole = forms.whole(image)
        rho = medians(forms, image)
        results = {form: forms.run(image, form, rho) for form in FORMS}
        for form in FORMS:
            merged, _ = forms.run(image, form, (1.0, 1.0))
            torch.testing.assert_close(merged, whole, atol=1e-4, rtol=1e-4)
    reached = [stages >= 2 for _, stages in results.values()]
    assert all(torch.equal(reached[0], other) for other in reached[1:])
    probabilities, stages = results[Neighbours.EXACT]
    last = (stages == 3).expand_as(probabilities)
    torch.testing.assert_close(probabilities[last], whole[last], atol=1e-4, rtol=1e-4)
    for form in (Neighbours.ZEROS, Neighbours.STAND_IN):
        merged, stages = results[form]
        last = (stages == 3).expand_as(merged)
        assert not torch.allclose(merged[last], whole[last], atol=1e-3)


def test_the_published_form_is_the_networks_own(x: Tensor) -> None:
    forms = published(x)
    with torch.inference_mode():
        image = forms.open(x)
        rho = medians(forms, image)
        probabilities, stages = forms.run(image, Neighbours.ZEROS, rho)
        output = forms.network(x, rho)
    assert torch.equal(stages, output.stages)
    torch.testing.assert_close(probabilities, output.probabilities)


def test_a_retrained_network_has_its_own_form_only() -> None:
    network = tiny_encoder_cascade(neighbours=Neighbours.ZEROS)
    forms = EncoderForms({Neighbours.ZEROS: network}, Neighbours.ZEROS, None)
    assert forms.forms == (Neighbours.ZEROS,) and forms.explained == ()
