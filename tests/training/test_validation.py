"""Validation during training, against a plain loop and scikit-learn's metrics."""

from __future__ import annotations

import numpy as np
import pytest
import torch
from sklearn.metrics import accuracy_score, jaccard_score
from tiny_networks import CLASSES, frames, tiny_cascade, to_input

from lc_trt.data.classes import IGNORE
from lc_trt.data.datasets import Sample
from lc_trt.model.baselines.ddrnet import DDRNet
from lc_trt.training.validation import validate


@pytest.fixture(scope="module")
def samples() -> list[Sample]:
    """Images of different sizes with all classes and ignored pixels."""
    rng = np.random.default_rng(4)
    validation = []
    for number, size in enumerate(((48, 72), (33, 50))):
        label = rng.integers(0, CLASSES, size).astype(np.uint8)
        label[rng.random(size) < 0.1] = IGNORE
        validation.append(Sample(str(number), frames(1, size, number)[0], label))
    return validation


def test_without_exits_accuracy_is_that_of_the_last_stage(samples: list[Sample]) -> None:
    model = tiny_cascade()
    validation = validate(model.train(), samples, to_input, rho=1.0)
    assert not model.training, "batch norm uses its running statistics"
    predicted, truth = [], []
    for sample in samples:
        with torch.inference_mode():
            logits = model(to_input(sample.image[None]), (1, 1)).logits[2]
            classes = model.upsample(logits.softmax(1), sample.label.shape).argmax(1)[0].numpy()
        labelled = sample.label != IGNORE
        predicted.append(classes[labelled])
        truth.append(sample.label[labelled])
    guess, label = np.concatenate(predicted), np.concatenate(truth)
    assert validation.pixel_accuracy == pytest.approx(accuracy_score(label, guess))
    assert validation.miou == pytest.approx(
        jaccard_score(label, guess, labels=range(CLASSES), average="macro")
    )
    assert validation.shares == (0, 0, 1)


def test_a_peer_has_accuracy_and_no_stages(samples: list[Sample]) -> None:
    torch.manual_seed(0)
    model = DDRNet(CLASSES, width=4)
    torch.nn.init.normal_(model.head.classifier.conv.weight)
    validation = validate(model.train(), samples, to_input, rho=1.0)
    assert not model.training and validation.shares is None and validation.stage_miou == ()
    right = count = 0
    for sample in samples:
        with torch.inference_mode():
            probabilities = model(to_input(sample.image[None])).softmax(1)
            classes = model.upsample(probabilities, sample.label.shape).argmax(1)[0].numpy()
        labelled = sample.label != IGNORE
        right += int((classes == sample.label)[labelled].sum())
        count += int(labelled.sum())
    assert validation.pixel_accuracy == pytest.approx(right / count)


@pytest.mark.parametrize(("rho", "shares"), [(-1.0, (1, 0, 0)), (1.0, (0, 0, 1))])
def test_thresholds_decide_where_pixels_exit(
    samples: list[Sample], rho: float, shares: tuple[int, int, int]
) -> None:
    assert validate(tiny_cascade(), samples, to_input, rho).shares == shares


def test_shares_are_means_over_images_whatever_their_size(samples: list[Sample]) -> None:
    model = tiny_cascade()
    with torch.inference_mode():
        rho = model(to_input(samples[0].image[None]), (-1, -1)).confidence.median().item()
    whole = validate(model, samples, to_input, rho).shares
    each = [validate(model, [sample], to_input, rho).shares for sample in samples]
    assert 0.05 < whole[0] < 0.95 and each[0] != each[1]
    assert whole == pytest.approx(np.mean(each, axis=0))
