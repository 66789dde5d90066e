import math

import pytest
import torch
from torch import nn

from lc_trt.model.cascade import Cascade, Dense
from lc_trt.model.heads import final_head
from lc_trt.model.irnet import irnet_trunk
from lc_trt.model.presets import initialise
from lc_trt.model.region import MaskedRegion

CLASSES = 4


def build(form="plain"):
    torch.manual_seed(0)
    trunk = irnet_trunk((1, 1, 1), 0.125)
    model = initialise(Cascade(trunk, CLASSES, form, 8)).eval()
    for head in model.heads:  # classifiers that are sure of some pixels
        for module in head.modules():
            if isinstance(module, nn.Conv2d):
                nn.init.normal_(module.weight, std=0.3)
    return model


@pytest.fixture(scope="module")
def model():
    return build()


@pytest.fixture(scope="module")
def images():
    torch.manual_seed(1)
    return torch.randn(2, 3, 44, 60)


@pytest.fixture(autouse=True)
def no_gradients():
    with torch.inference_mode():
        yield


@pytest.fixture(scope="module")
def rho(model, images):
    """Thresholds at which about a third of the pixels exit at each stage."""
    with torch.inference_mode():
        confidences = [y.softmax(1).amax(1) for y in model.deep(images)]
    return tuple(float(c.quantile(0.6)) for c in confidences[:2])


def same(a, b):
    """Equal to rounding of the largest value: a sum's small results carry its large terms'."""
    torch.testing.assert_close(a, b, atol=1e-5 * max(1.0, float(b.abs().max())), rtol=0)


@pytest.mark.parametrize("form", ["plain", "aspp"])
def test_rho_1_disables_early_exit(form, images):
    model = build(form)
    trunk = irnet_trunk((1, 1, 1), 0.125)
    dense = Dense(trunk.stages, final_head(trunk.channels[2], CLASSES, form), CLASSES).eval()
    state = {
        key.replace("heads.2.", "heads.0."): value
        for key, value in model.state_dict().items()
        if not key.startswith(("heads.0.", "heads.1."))
    }
    dense.load_state_dict(state)
    output = model(images, (1.0, 1.0))
    assert (output.stages == 3).all()
    same(output.logits[2], dense(images))
    same(output.probabilities, dense(images).softmax(1))
    same(model.deep(images)[2], dense(images))
    same(model.final(output.maps), dense(images))


def test_all_pixels_exit_at_stage_1(model, images):
    output = model(images, (-1.0, -1.0))
    assert (output.stages == 1).all()
    assert [region.rows.numel() for region in output.regions] == [0, 0]
    first = model.deep(images)[0].softmax(1)
    same(output.probabilities, first)
    same(output.confidence, first.amax(1, keepdim=True))


def test_all_pixels_exit_at_stage_2(model, images):
    output = model(images, (1.0, -1.0))
    assert (output.stages == 2).all()
    same(output.probabilities, model.deep(images)[1].softmax(1))


def test_compact_equals_masked(model, images, rho):
    compact, masked = model(images, rho), model(images, rho, MaskedRegion)
    assert torch.equal(compact.stages, masked.stages)
    assert {1, 2, 3} == set(compact.stages.unique().tolist())
    same(compact.probabilities, masked.probabilities)
    for ours, theirs in zip(compact.logits, masked.logits, strict=True):
        same(ours, theirs)


def test_a_pixel_has_the_output_of_its_exit_stage(model, images, rho):
    output = model(images, rho)
    second, third = (region.hard for region in output.regions)
    assert not (third & ~second).any()
    assert torch.equal(output.stages, 1 + second.to(torch.uint8) + third.to(torch.uint8))
    for stage, logits in enumerate(output.logits, 1):
        here = (output.stages == stage).expand_as(logits)
        same(output.probabilities[here], logits.softmax(1)[here])
    left = [(output.stages == s) for s in (1, 2)]
    assert (output.confidence[left[0]] > rho[0]).all()
    assert (output.confidence[left[1]] > rho[1]).all()
    same(output.confidence, output.probabilities.amax(1, keepdim=True))


def test_confidence_equal_to_rho_does_not_exit(model, images):
    confidence = model(images, (-1.0, -1.0)).confidence
    value = confidence.flatten()[17]
    exactly = model(images, torch.stack([value, value]))
    assert exactly.stages.flatten()[17] > 1
    below = torch.nextafter(value, torch.zeros(()))
    assert model(images, torch.stack([below, below])).stages.flatten()[17] == 1


def test_nan_confidence_does_not_exit(images):
    model = build()

    class Poisoned(nn.Module):
        def __init__(self, head):
            super().__init__()
            self.head = head

        def forward(self, x):
            logits = self.head(x).clone()
            logits[1, :, 2, 3] = math.nan
            return logits

    model.heads[0] = Poisoned(model.heads[0])
    output = model(images, (-1.0, -1.0))
    expected = torch.ones_like(output.stages)
    expected[1, 0, 2, 3] = 2
    assert torch.equal(output.stages, expected)
    assert torch.isfinite(output.probabilities).all()


def test_images_of_a_batch_are_independent(model, images, rho):
    together = model(images, rho)
    for i in range(2):
        alone = model(images[i : i + 1], rho)
        assert torch.equal(alone.stages[0], together.stages[i])
        same(alone.probabilities[0], together.probabilities[i])


def test_output_shapes_and_types(model, images, rho):
    output = model(images, rho)
    assert output.probabilities.shape == (2, CLASSES, 6, 8)
    assert output.confidence.shape == output.stages.shape == (2, 1, 6, 8)
    assert output.stages.dtype == torch.uint8
    assert output.maps[0].shape[2:] == (6, 8)
    assert model.upsample(output.probabilities, (44, 60)).shape == (2, CLASSES, 44, 60)
