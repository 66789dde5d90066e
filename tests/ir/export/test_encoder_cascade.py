"""Exported cascades with exact regions in ONNX Runtime against PyTorch."""

from __future__ import annotations

import numpy as np
import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st
from tiny_encoder import tiny_encoder_cascade
from tiny_networks import (
    CLASSES,
    INFO,
    MEAN,
    STD,
    frames,
    middle_rho,
    rho_at,
    run,
    session,
    to_input,
)

from lc_trt.ir.export import export_cascade
from lc_trt.model.neighbours import Neighbours

share = st.floats(0, 1)
shares = st.tuples(share, share)
sides = st.integers(17, 60)


@pytest.fixture(scope="module")
def pair():
    model = tiny_encoder_cascade(CLASSES)
    return model, session(export_cascade(model, INFO, MEAN, STD))


@given(
    size=st.tuples(sides, sides),
    batch=st.sampled_from([1, 2]),
    shares=shares,
)
def test_it_equals_pytorch(pair, size, batch, shares):
    model, exported = pair
    images = frames(batch, size)
    rho = rho_at(exported, images, shares)
    outputs = run(exported, images, rho)
    with torch.no_grad():
        expected = model(to_input(images), rho)
        labels = model.upsample(expected.probabilities, size).argmax(1).numpy()
    assert outputs["stages"].shape == (batch, -(-size[0] // 4), -(-size[1] // 4))
    assert outputs["labels"].shape == images.shape[:3]
    # A confidence within rounding of a threshold may fall on either side, as may two equal classes.
    same = outputs["stages"] == expected.stages[:, 0].numpy()
    assert same.mean() >= 0.99
    assert (outputs["labels"] == labels).mean() >= 0.99
    confidence = expected.confidence[:, 0].numpy()
    np.testing.assert_allclose(outputs["confidence"][same], confidence[same], atol=1e-4)


@given(size=st.tuples(sides, sides), shares=shares)
def test_cells_that_go_on_have_the_probabilities_of_the_whole_network(pair, size, shares):
    model, exported = pair
    images = frames(1, size)
    outputs = run(exported, images, rho_at(exported, images, shares))
    with torch.no_grad():
        logits = model.deep(to_input(images))[2]
    whole = model.probabilities(logits, 3).amax(1).numpy()
    reached = outputs["stages"] == 3
    np.testing.assert_allclose(outputs["confidence"][reached], whole[reached], atol=1e-4)


def test_thresholds_split_the_cells_of_this_network(pair):
    _, exported = pair
    stages = run(exported, frames(1), middle_rho(exported, frames(1)))["stages"]
    assert (np.bincount(stages.ravel(), minlength=4)[1:] > 10).all()


@pytest.mark.parametrize("neighbours", Neighbours)
def test_what_is_read_outside_the_region(neighbours):
    model = tiny_encoder_cascade(CLASSES, neighbours=neighbours)
    exported, images = session(export_cascade(model, INFO, MEAN, STD)), frames(2, (45, 61))
    rho = middle_rho(exported, images)
    outputs = run(exported, images, rho)
    with torch.no_grad():
        expected = model(to_input(images), rho)
    assert set(np.unique(outputs["stages"])) == {1, 2, 3}
    assert np.array_equal(outputs["stages"], expected.stages[:, 0].numpy())
    np.testing.assert_allclose(outputs["confidence"], expected.confidence[:, 0].numpy(), atol=1e-4)


@pytest.mark.parametrize("temperatures", [(1.0, 1.0, 1.0), (2.0, 0.5, 0.5), (1.0, 3.0, 0.7)])
def test_temperatures_are_folded(temperatures):
    model = tiny_encoder_cascade(CLASSES)
    model.temperatures.copy_(torch.tensor(temperatures))
    exported, images = session(export_cascade(model, INFO, MEAN, STD)), frames(1)
    for rho in ((-1, -1), (1, -1), (1, 1)):
        with torch.no_grad():
            expected = model(to_input(images), rho).confidence[:, 0].numpy()
        np.testing.assert_allclose(run(exported, images, rho)["confidence"], expected, atol=1e-4)
