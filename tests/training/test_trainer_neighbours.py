"""Training the later stages with zeros or stand-ins, from the weights of an exact network."""

from __future__ import annotations

from pathlib import Path

import pytest
import torch
from tiny_encoder import tiny_encoder
from tiny_training import tiny_config

from lc_trt.model import network
from lc_trt.training.checkpoint import load_weights, save_weights
from lc_trt.training.trainer import Trainer


@pytest.fixture(autouse=True)
def tiny(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(network, "build_encoder", lambda name: tiny_encoder())


@pytest.fixture
def exact(tree: Path, tmp_path: Path) -> Path:
    config = tiny_config(tree, cascade=None, encoder={"name": "tiny", "weights": "none"})
    trainer = Trainer(config, tmp_path / "exact")
    trainer.run()
    return trainer.best_path


@pytest.mark.parametrize("form", ["zeros", "stand_in"])
def test_the_later_stages_go_on_with_exits(tree: Path, exact: Path, form: str) -> None:
    config = tiny_config(
        tree,
        deep=None,
        cascade={"freeze_first_stage": True},
        encoder={"name": "tiny", "weights": "none", "neighbours": form},
        init=str(exact),
    )
    trainer = Trainer(config, exact.parent.parent / form)
    before, _ = load_weights(exact)
    start = {name: value.clone() for name, value in trainer.model.state_dict().items()}
    assert all(torch.equal(start[name], value) for name, value in before.items())
    trainer.run()
    state, metadata = load_weights(trainer.best_path)
    assert metadata["neighbours"] == form
    assert torch.equal(state["head1.1.conv.weight"], before["head1.1.conv.weight"])
    assert not torch.equal(state["head3.1.conv.weight"], before["head3.1.conv.weight"])
    added = set(state) - set(before)
    assert bool(added) == (form == "stand_in")
    for name in added:
        assert not torch.equal(state[name], start[name])


def test_stand_ins_start_fitted_and_resume_as_trained(tree: Path, exact: Path) -> None:
    values = {
        "deep": None,
        "encoder": {"name": "tiny", "weights": "none", "neighbours": "stand_in"},
    }
    first = Trainer(tiny_config(tree, **values, init=str(exact)), exact.parent.parent / "one")
    bias = first.model.stand_in2.conv.bias
    assert bias is not None and bool(bias.any())  # zero in a new network
    first.run()
    trained, _ = load_weights(first.best_path)
    again = Trainer(
        tiny_config(tree, **values, init=str(first.best_path)), exact.parent.parent / "two"
    )
    assert torch.equal(
        again.model.state_dict()["stand_in2.conv.bias"], trained["stand_in2.conv.bias"]
    )


def test_a_run_leaves_out_exit_rules_that_were_fitted_to_other_weights(
    tree: Path, tmp_path: Path
) -> None:
    encoder = {"name": "tiny", "weights": "none"}
    fitted = tmp_path / "fitted.safetensors"
    spec = network.NetworkSpec(encoder="tiny", exit_rule="learned", fitted_rules=("learned",))
    model = spec.build(3)
    save_weights(fitted, model, {**spec.as_metadata(), "classes": "3"})
    config = tiny_config(tree, cascade=None, encoder=encoder, init=str(fitted))
    trainer = Trainer(config, tmp_path / "more")
    assert torch.equal(
        trainer.model.state_dict()["head3.1.conv.weight"], model.state_dict()["head3.1.conv.weight"]
    )
    assert trainer.network.exit_rule == "largest"
