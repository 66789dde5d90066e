"""Exported cascades with zeros outside, and dense networks, in ONNX Runtime against PyTorch."""

from __future__ import annotations

import numpy as np
import pytest
import torch
from tiny_networks import INFO, MEAN, STD, frames, middle_rho, run, session, tiny_cascade, to_input

from lc_trt.ir.export import export_cascade, export_dense
from lc_trt.model.cascade import Dense
from lc_trt.model.presets import build_dense

FORMS = [("irnet", "plain"), ("irnet", "aspp"), ("inception", "plain"), ("inception", "aspp")]


@pytest.fixture(scope="module", params=FORMS, ids="-".join)
def pair(request):
    model = tiny_cascade(*request.param)
    return model, session(export_cascade(model, INFO, MEAN, STD))


@pytest.mark.parametrize("batch", [1, 2])
@pytest.mark.parametrize("case", ["middle", "first", "second", "off", "only first"])
def test_the_cascade_equals_pytorch(pair, batch, case):
    model, exported = pair
    images = frames(batch, (52, 75))  # neither side a multiple of 8
    first, second = middle_rho(exported, images)
    rho = {
        "middle": (first, second),
        "first": (-1, -1),
        "second": (first, -1),
        "off": (1, 1),
        "only first": (-1, 1),
    }[case]
    outputs = run(exported, images, rho)
    with torch.no_grad():
        expected = model(to_input(images), rho)
        labels = model.upsample(expected.probabilities, images.shape[1:3]).argmax(1)
    assert outputs["labels"].dtype == np.uint8 and outputs["labels"].shape == images.shape[:3]
    assert np.array_equal(outputs["stages"], expected.stages[:, 0].numpy())
    assert (outputs["labels"] == labels.numpy()).mean() >= 0.999
    np.testing.assert_allclose(outputs["confidence"], expected.confidence[:, 0].numpy(), atol=1e-4)
    present = {
        "middle": {1, 2, 3}, "first": {1}, "second": {1, 2}, "off": {3}, "only first": {1},
    }[case]  # fmt: skip
    assert set(np.unique(outputs["stages"])) == present


def test_rho_1_equals_the_dense_network(pair):
    model, exported = pair
    images = frames(2)
    dense = Dense(model.stages, model.heads[2], model.classes)
    outputs = run(exported, images, (1, 1))
    expected = run(session(export_dense(dense, INFO, MEAN, STD)), images, None)
    assert (outputs["labels"] == expected["labels"]).mean() >= 0.999
    np.testing.assert_allclose(outputs["confidence"], expected["confidence"], atol=1e-5)


@pytest.mark.parametrize("name", ["vgg16", "resnet101"])
def test_a_baseline_equals_pytorch(name):
    torch.manual_seed(0)
    model = build_dense(name, 3).eval()
    images = frames(1)
    outputs = run(session(export_dense(model, INFO, MEAN, STD)), images, None)
    with torch.no_grad():
        probabilities = model(to_input(images)).softmax(1)
        labels = model.upsample(probabilities, images.shape[1:3]).argmax(1)
    assert (outputs["labels"] == labels.numpy()).mean() >= 0.999
    np.testing.assert_allclose(outputs["confidence"], probabilities.amax(1).numpy(), atol=1e-4)
