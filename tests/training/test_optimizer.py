"""One step of each optimizer against its formula, and the rates of trunk and heads."""

from __future__ import annotations

import pytest
import torch

from lc_trt.model.cascade import Cascade
from lc_trt.model.irnet import irnet_trunk
from lc_trt.training.config import Optimizer
from lc_trt.training.optimizer import new_optimizer

RATE, DECAY, MOMENTUM = 0.1, 0.05, 0.9


@pytest.fixture
def model() -> Cascade:
    return Cascade(irnet_trunk((1, 1, 1), 0.125), 3, "plain", 8)


def step(model: Cascade, config: Optimizer) -> list[tuple[torch.Tensor, torch.Tensor]]:
    """Parameters before and after one step with gradients of 1."""
    before = [p.detach().clone() for p in model.parameters()]
    optimizer = new_optimizer(model, config)
    for parameter in model.parameters():
        parameter.grad = torch.ones_like(parameter)
    optimizer.step()
    return list(zip(before, (p.detach() for p in model.parameters()), strict=True))


def test_sgd_decays_through_the_gradient(model: Cascade) -> None:
    config = Optimizer(name="sgd", rate=RATE, momentum=MOMENTUM, weight_decay=DECAY)
    for before, after in step(model, config):
        torch.testing.assert_close(after, before - RATE * (1 + DECAY * before))


def test_adamw_decouples_weight_decay(model: Cascade) -> None:
    for before, after in step(model, Optimizer(name="adamw", rate=RATE, weight_decay=DECAY)):
        # The first step of Adam has length `rate` whatever the gradient is.
        torch.testing.assert_close(after, before * (1 - RATE * DECAY) - RATE, atol=1e-5, rtol=1e-5)


def test_heads_are_a_parameter_group_with_their_own_rate(model: Cascade) -> None:
    trunk, heads = new_optimizer(model, Optimizer(head_rate=10.0)).param_groups
    assert (trunk["factor"], heads["factor"]) == (1.0, 10.0)
    assert {id(p) for p in heads["params"]} == {id(p) for p in model.heads.parameters()}
    grouped = [id(p) for group in (trunk, heads) for p in group["params"]]
    assert sorted(grouped) == sorted(id(p) for p in model.parameters())
