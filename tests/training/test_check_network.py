"""Configurations that a network cannot follow are refused in one line."""

from __future__ import annotations

from typing import Any

import pytest

from lc_trt.errors import UsageError
from lc_trt.model.neighbours import Neighbours
from lc_trt.model.network import NetworkSpec
from lc_trt.training.check_network import check_network, configured_network
from lc_trt.training.config import TrainConfig

PEER = NetworkSpec("pidnet-s")


def config(
    loss: str = "published", phase: dict[str, Any] | None = None, **values: Any
) -> TrainConfig:
    phases = [{"loss": loss, "epochs": 1, **(phase or {})}]
    return TrainConfig.model_validate({"phases": phases, "batch": 2, **values})


def test_what_fits_is_accepted() -> None:
    check_network(config(), PEER)
    check_network(config(init="w.safetensors"), PEER)
    check_network(config("deep"), NetworkSpec("irnet-small"))
    check_network(config("deep", {"weights": [1, 1, 1]}, batch=1), NetworkSpec("irnet-small"))
    check_network(config("deep"), NetworkSpec(encoder="resnet18"))


@pytest.mark.parametrize(
    ("changes", "message"),
    [
        ({"loss": "deep"}, "loss deep: pidnet-s is a peer; expected published"),
        ({"batch": 1}, "batch 1: pidnet-s normalises one value per image"),
        ({"heads": "aspp"}, "heads: pidnet-s is a peer, which does not take it"),
        ({"imagenet": "w.pth"}, "imagenet: pidnet-s is a peer"),
        ({"distil": {"teacher": "t.onnx"}}, "distil.teacher: pidnet-s is a peer"),
        ({"phase": {"weights": [1, 1, 1]}}, "phases.N.weights: pidnet-s is a peer"),
        ({"phase": {"freeze_first_stage": True}}, "freeze_first_stage: pidnet-s is a peer"),
    ],
)
def test_a_peer_has_losses_of_its_own_and_no_stages(changes: dict[str, Any], message: str) -> None:
    with pytest.raises(UsageError, match=message) as info:
        check_network(config(**changes), PEER)
    assert "\n" not in str(info.value)


def test_a_cascade_has_no_published_loss() -> None:
    with pytest.raises(UsageError, match="loss published: irnet-small is a cascade; expected deep"):
        check_network(config(), NetworkSpec("irnet-small"))


def test_exits_in_training_are_for_networks_that_they_change() -> None:
    exact, zeros = (
        NetworkSpec(encoder="resnet18", neighbours=form)
        for form in (Neighbours.EXACT, Neighbours.ZEROS)
    )
    check_network(config("cascade"), zeros)
    with pytest.raises(UsageError, match="loss cascade: a network with exact regions needs no"):
        check_network(config("cascade"), exact)
    by_truth = config("cascade", {"exit": {"by": "truth"}})
    check_network(by_truth, NetworkSpec("irnet-small"))
    with pytest.raises(
        UsageError, match=r"exit\.by truth: the stages of resnet18 differ in stride"
    ):
        check_network(by_truth, zeros)


def test_a_configuration_names_its_network() -> None:
    assert configured_network(config("deep", preset="irnet-small")) == NetworkSpec("irnet-small")
    assert configured_network(config("deep", encoder={"name": "resnet18"})) == NetworkSpec(
        encoder="resnet18"
    )
    zeros = {"name": "resnet18", "neighbours": "zeros"}
    assert configured_network(config("cascade", encoder=zeros)).neighbours is Neighbours.ZEROS
    with pytest.raises(UsageError, match="loss cascade: a network with exact regions"):
        configured_network(config("cascade", encoder={"name": "resnet18"}))
