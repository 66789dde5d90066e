import numpy as np
import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st
from hypothesis.extra.numpy import arrays
from torch.nn import functional

from lc_trt.data.classes import IGNORE
from lc_trt.model.cascade import CascadeOutput
from lc_trt.model.region import CompactRegion
from lc_trt.training.losses import (
    apply_temperature,
    cascade_losses,
    cross_entropy,
    deep_losses,
    distillation_loss,
    resize_for_loss,
)

STRIDES = (8, 8, 8)


@pytest.fixture
def logits():
    torch.manual_seed(0)
    return torch.randn(2, 3, 4, 5, requires_grad=True)


@pytest.fixture
def label():
    torch.manual_seed(1)
    label = torch.randint(0, 3, (2, 4, 5), dtype=torch.uint8)
    label[0, 0] = IGNORE
    return label


@pytest.mark.parametrize("weight", [None, torch.tensor([0.5, 2.0, 1.0])])
def test_cross_entropy_is_torchs_mean(logits, label, weight):
    expected = functional.cross_entropy(logits, label.long(), weight, ignore_index=IGNORE)
    torch.testing.assert_close(cross_entropy(logits, label, weight), expected)


@pytest.mark.parametrize("weight", [None, torch.tensor([0.5, 2.0, 1.0])])
def test_ignored_labels_only_give_zero_loss_and_gradient(logits, label, weight):
    for counts, here in (
        (torch.zeros(2, 4, 5, dtype=torch.bool), label),
        (None, torch.full_like(label, IGNORE)),
    ):
        logits.grad = None
        loss = cross_entropy(logits, here, weight, counts)
        loss.backward()
        assert loss.item() == 0
        assert torch.equal(logits.grad, torch.zeros_like(logits))


def test_ignored_pixels_do_not_contribute(logits, label):
    counts = torch.zeros(2, 4, 5, dtype=torch.bool)
    counts[1, 2, 3] = counts[0, 0, 0] = True  # the second has no label
    loss = cross_entropy(logits, label, None, counts)
    expected = functional.cross_entropy(logits[1:, :, 2, 3], label[1:, 2, 3].long())
    torch.testing.assert_close(loss, expected)
    loss.backward()
    touched = (logits.grad != 0).any(1)
    assert touched.nonzero().tolist() == [[1, 2, 3]]


@pytest.mark.parametrize("size", [(32, 40), (33, 37), (25, 40)])
def test_losses_are_taken_at_half_size(size):
    label = torch.zeros(1, *size, dtype=torch.uint8)
    coarse = torch.randn(1, 3, -(-size[0] // 8), -(-size[1] // 8))
    upsampled, target = resize_for_loss(coarse, label)
    assert upsampled.shape[2:] == target.shape[1:] == (-(-size[0] // 2), -(-size[1] // 2))


def test_deep_losses_take_all_pixels_of_every_stage():
    label = torch.zeros(1, 16, 16, dtype=torch.uint8)
    sure = torch.zeros(1, 3, 2, 2)
    sure[:, 0] = 20
    losses = deep_losses([sure, torch.zeros(1, 3, 2, 2), -sure], label, None, (8, 8, 8))
    assert losses[0] < 1e-6
    torch.testing.assert_close(losses[1], torch.tensor(3.0).log())
    assert losses[2] > 19


def cascade_output(hard2, hard3):
    """Random logits of three stages that carry gradients."""
    torch.manual_seed(2)
    logits = [torch.randn(1, 3, 4, 4, requires_grad=True) for _ in range(3)]
    regions = [CompactRegion(hard2), CompactRegion(hard3)]
    empty = torch.empty(0)
    return CascadeOutput(empty, empty, empty, logits, regions, (empty,))


def test_cascade_losses_count_survivors_only():
    hard2 = torch.zeros(1, 1, 4, 4, dtype=torch.bool)
    hard2[..., :2, :] = True
    hard3 = hard2.clone()
    hard3[..., 1, :] = False
    output = cascade_output(hard2, hard3)
    label = torch.randint(0, 3, (1, 32, 32), dtype=torch.uint8)
    before = [loss.item() for loss in cascade_losses(output, label, None, STRIDES)]

    label[:, 16:] = (label[:, 16:] + 1) % 3  # left at stage 1
    after = [loss.item() for loss in cascade_losses(output, label, None, STRIDES)]
    assert after[0] != before[0]
    assert after[1:] == before[1:]

    label[:, 8:16] = (label[:, 8:16] + 1) % 3  # left at stage 2
    last = [loss.item() for loss in cascade_losses(output, label, None, STRIDES)]
    assert last[1] != after[1]
    assert last[2] == after[2]

    label[:, :8] = IGNORE
    assert cascade_losses(output, label, None, STRIDES)[2].item() == 0


def test_cascade_losses_with_empty_regions():
    nobody = torch.zeros(1, 1, 4, 4, dtype=torch.bool)
    output = cascade_output(nobody, nobody)
    losses = cascade_losses(output, torch.ones(1, 32, 32, dtype=torch.uint8), None, STRIDES)
    assert losses[0] > 0
    assert [losses[1].item(), losses[2].item()] == [0, 0]
    sum(losses).backward()
    assert output.logits[2].grad.abs().max() == 0


def test_distillation_is_the_divergence_from_the_teacher_and_its_entropy(logits):
    taught = torch.randn(2, 3, 4, 5).softmax(1)
    divergence = functional.kl_div(logits.log_softmax(1), taught, reduction="none").sum(1).mean()
    entropy = -(taught * taught.log()).sum(1).mean()
    torch.testing.assert_close(distillation_loss(logits, taught), divergence + entropy)
    same = taught.log().requires_grad_()
    distillation_loss(same, taught).backward()
    torch.testing.assert_close(same.grad, torch.zeros_like(same), atol=1e-6, rtol=0)


@given(
    arrays(np.float32, (2, 4, 3, 5), elements=st.floats(-30, 30, width=32)),
    st.floats(0.1, 4),
)
def test_a_temperature_equals_that_of_the_softmax(logits, temperature):
    logits = torch.from_numpy(logits).double()
    found = apply_temperature(logits.softmax(1), temperature)
    torch.testing.assert_close(found, (logits / temperature).softmax(1))
    assert apply_temperature(found, 1) is found


def test_a_small_temperature_keeps_probabilities_finite():
    found = apply_temperature(torch.tensor([1.0, 3e-20]).view(1, 2, 1, 1), 0.05)
    assert found.flatten().tolist() == [1.0, 0.0]


def test_distillation_resizes_the_teacher_and_applies_the_mask(logits):
    taught = torch.randn(2, 3, 8, 10).softmax(1)
    small = functional.interpolate(taught, (4, 5), mode="bilinear")
    torch.testing.assert_close(distillation_loss(logits, taught), distillation_loss(logits, small))
    counts = torch.zeros(2, 1, 4, 5, dtype=torch.bool)
    counts[1, 0, 2, 3] = True
    one = -(small[1, :, 2, 3] * logits[1, :, 2, 3].log_softmax(0)).sum()
    torch.testing.assert_close(distillation_loss(logits, taught, counts), one)
    assert distillation_loss(logits, taught, counts & False) == 0
