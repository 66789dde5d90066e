"""Peers train by the cascade's loop: resumable, with falling losses, in the same formats."""

from __future__ import annotations

import math
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from narrow_peers import narrow_peers
from tensorboard_events import scalars
from tiny_training import tiny_config

from lc_trt.errors import UsageError
from lc_trt.model import baselines
from lc_trt.model.presets import build_peer
from lc_trt.training.checkpoint import load_into, load_weights
from lc_trt.training.config import TrainConfig
from lc_trt.training.log import StepReport
from lc_trt.training.trainer import Trainer

__all__ = ["narrow_peers"]

pytestmark = pytest.mark.usefixtures("narrow_peers")
TERMS = {
    "pidnet-s": ("main", "auxiliary", "boundary", "at boundaries"),
    "ddrnet-23-slim": ("main", "auxiliary"),
}


@pytest.fixture(params=TERMS)
def peer(request: pytest.FixtureRequest) -> str:
    return str(request.param)


def peer_config(tree: Path, peer: str, epochs: int = 1, **changes: Any) -> TrainConfig:
    """Three steps an epoch."""
    deep = {"loss": "published", "epochs": epochs}
    return tiny_config(tree, preset=peer, deep=deep, cascade=None, **changes)


def run(config: TrainConfig, out: Path, stop_at: float = math.inf, **options: Any) -> Trainer:
    trainer = Trainer(config, out, **options)
    trainer.run(lambda: trainer.step >= stop_at)
    return trainer


def test_a_resumed_run_equals_an_uninterrupted_one(peer: str, tree: Path, tmp_path: Path) -> None:
    config = peer_config(tree, peer, epochs=2, ema=0.5)
    whole = run(config, tmp_path / "whole")
    assert run(config, tmp_path / "resumed", 4).step == 4
    torch.rand(7)  # a new process has another random state
    resumed = run(config, tmp_path / "resumed")
    assert resumed.step == whole.step == 6 and resumed.best == whole.best
    for (name, a), b in zip(
        whole.updates.average.state_dict().items(),
        resumed.updates.average.state_dict().values(),
        strict=True,
    ):
        assert torch.equal(a, b), name


@pytest.mark.slow
def test_every_term_of_the_loss_falls(peer: str, tree: Path, tmp_path: Path) -> None:
    reports: list[StepReport] = []
    run(peer_config(tree, peer, epochs=16), tmp_path, on_step=reports.append)
    assert len(reports) == 48 and {report.names for report in reports} == {TERMS[peer]}
    assert all(report.shares is None for report in reports)
    losses = np.array([report.losses for report in reports])
    # A fourth term, at boundaries, grows from 0 while the boundary head gets sure.
    most = {"main": 0.7, "auxiliary": 0.7, "boundary": 0.95}
    for name, term in zip(TERMS[peer][:3], losses.T, strict=False):
        assert term[-9:].mean() < most[name] * term[:9].mean(), name
    assert np.isfinite(losses).all()
    logged = scalars(tmp_path)
    assert logged[48, f"loss/{TERMS[peer][-1].replace(' ', '_')}"] == pytest.approx(losses[-1, -1])


def test_the_checkpoint_names_its_network(peer: str, tree: Path, tmp_path: Path) -> None:
    trainer = run(peer_config(tree, peer), tmp_path)
    state, metadata = load_weights(trainer.best_path)
    assert (metadata["preset"], metadata["phase"], metadata["step"]) == (peer, "published", 3)
    assert metadata["val_miou"] == trainer.best["published"]
    assert (metadata["val_shares"], metadata["val_stage_miou"]) == (None, [])
    assert "heads" not in metadata and "encoder" not in metadata
    assert any(name.startswith("auxiliary.") for name in state)
    load_into(build_peer(peer, 3), trainer.best_path)


def test_a_run_starts_from_the_weights_of_another(tree: Path, tmp_path: Path) -> None:
    first = run(peer_config(tree, "ddrnet-23-slim"), tmp_path / "a")
    init = str(first.best_path)
    second = Trainer(peer_config(tree, "ddrnet-23-slim", init=init, seed=5), tmp_path / "b")
    for name, value in load_weights(first.best_path)[0].items():
        assert torch.equal(second.model.state_dict()[name], value), name


def test_a_peer_gets_normalised_rgb_images(tree: Path, tmp_path: Path) -> None:
    trainer = Trainer(peer_config(tree, "pidnet-s"), tmp_path)
    image = np.zeros((1, 64, 64, 3), np.uint8)
    image[..., 2] = 255  # red
    red, green, blue = trainer.loss.to_input(image)[0, :, 0, 0].tolist()
    mean, std = baselines.IMAGENET_MEAN, baselines.IMAGENET_STD
    assert red == pytest.approx((255 - mean[2]) / std[2])
    assert (green, blue) == pytest.approx((-mean[1] / std[1], -mean[0] / std[0]))


def test_all_parameters_have_one_learning_rate(tree: Path, tmp_path: Path) -> None:
    trainer = Trainer(peer_config(tree, "pidnet-s"), tmp_path)
    counts = [len(group["params"]) for group in trainer.updates.optimizer.param_groups]
    assert counts == [len(list(trainer.model.parameters())), 0]


def test_what_a_peer_cannot_follow_is_refused_first(tmp_path: Path) -> None:
    config = tiny_config(tmp_path / "no data", preset="pidnet-s")
    with pytest.raises(UsageError, match="loss cascade: pidnet-s is a peer; expected published"):
        Trainer(config, tmp_path / "run")
