"""What all baselines and peers have in common."""

import pytest
import torch

from lc_trt.model.baselines import BASELINES, PEERS
from lc_trt.model.presets import build_dense, build_peer, find_network


@pytest.fixture(params=(*BASELINES, *PEERS))
def name(request):
    return request.param


def build(name, classes):
    return build_peer(name, classes) if name in PEERS else build_dense(name, classes)


def test_output_stride_is_8(name):
    with torch.device("meta"):
        model = build(name, 21).eval()
    logits = model(torch.zeros(2, 3, 300, 500, device="meta"))
    assert tuple(logits.shape) == (2, 21, 38, 63)
    assert tuple(model.upsample(logits, (300, 500)).shape) == (2, 21, 300, 500)
    assert model.classes == 21


def test_runs_and_is_finite(name):
    torch.manual_seed(0)
    model = build(name, 3).eval()
    with torch.inference_mode():
        logits = model(torch.randn(1, 3, 24, 40))
    assert tuple(logits.shape) == (1, 3, 3, 5)
    assert torch.isfinite(logits).all()
    assert logits.std() > 0


def test_has_its_normalisation(name):
    network = find_network(name)
    assert network.name == name
    assert network.mean[0] < network.mean[2]  # blue first
    assert min(network.std) > 1  # units of 0..255
