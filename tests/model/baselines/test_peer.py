"""Peers with all their heads, and without."""

import pytest
import torch

from lc_trt.model.baselines import PEERS
from lc_trt.model.presets import build_peer


@pytest.fixture(params=PEERS)
def name(request):
    return request.param


def test_auxiliary_heads_do_not_change_the_result(name):
    torch.manual_seed(0)
    model = build_peer(name, 5).eval()
    x = torch.randn(2, 3, 40, 56)
    with torch.inference_mode():
        output, logits = model.supervised(x), model(x)
    assert torch.equal(output.logits, logits)
    assert output.logits.shape == output.auxiliary.shape == (2, 5, 5, 7)
    assert (output.boundary is None) == (name == "ddrnet-23-slim")
    if output.boundary is not None:
        assert output.boundary.shape == (2, 1, 5, 7)


def test_every_parameter_of_every_head_gets_a_gradient(name):
    torch.manual_seed(0)
    model = build_peer(name, 3)
    output = model.supervised(torch.randn(2, 3, 192, 256))  # 3x4 cells at stride 64
    maps = [m for m in (output.logits, output.auxiliary, output.boundary) if m is not None]
    torch.stack([m.square().sum() for m in maps]).sum().backward()
    without = [key for key, p in model.named_parameters() if p.grad is None or not p.grad.any()]
    assert without == []


def test_the_result_alone_leaves_auxiliary_heads_without_gradient(name):
    model = build_peer(name, 3)
    model(torch.randn(2, 3, 64, 64)).square().sum().backward()
    unused = {key.split(".")[0] for key, p in model.named_parameters() if p.grad is None}
    assert unused == {"auxiliary"}
