"""Definitions of networks: built, and kept in a checkpoint's metadata."""

from __future__ import annotations

import sys

import pytest

from lc_trt.errors import UsageError
from lc_trt.model.baselines import IMAGENET_MEAN, IMAGENET_STD
from lc_trt.model.baselines.peer import PeerNetwork
from lc_trt.model.cascade import Cascade
from lc_trt.model.encoder_cascade import EncoderCascade
from lc_trt.model.neighbours import Neighbours
from lc_trt.model.network import NetworkSpec
from lc_trt.model.presets import PRESETS


def test_a_preset_is_a_published_cascade_with_its_normalisation() -> None:
    spec = NetworkSpec("irnet-small")
    assert isinstance(spec.build(3), Cascade)
    preset = PRESETS["irnet-small"]
    assert spec.normalisation == (preset.mean, preset.std)


def test_an_encoder_is_a_cascade_with_exact_regions_and_the_encoders_normalisation() -> None:
    spec = NetworkSpec(encoder="tf_efficientnet_lite0")
    assert isinstance(spec.build(3), EncoderCascade)
    assert spec.normalisation == ((127.0,) * 3, (128.0,) * 3)
    assert spec.name == "tf_efficientnet_lite0"


def test_a_peer_is_dense_and_takes_rgb() -> None:
    spec = NetworkSpec("ddrnet-23-slim")
    assert spec.is_peer and spec.rgb and isinstance(spec.build(3), PeerNetwork)
    assert spec.normalisation == (IMAGENET_MEAN, IMAGENET_STD)
    assert not NetworkSpec("irnet-small").rgb and not NetworkSpec(encoder="resnet18").rgb


@pytest.mark.parametrize("spec", [
    NetworkSpec("irnet-small", "plain"), NetworkSpec(encoder="resnet18"),
    NetworkSpec(encoder="resnet18", neighbours=Neighbours.STAND_IN),
    NetworkSpec("pidnet-s"),
])  # fmt: skip
def test_the_definition_survives_in_metadata(spec: NetworkSpec) -> None:
    assert NetworkSpec.from_metadata(spec.as_metadata()) == spec


def test_an_unknown_encoder_is_named_with_those_that_exist(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setitem(sys.modules, "timm", None)
    with pytest.raises(UsageError, match=r"encoder 'resnet19' is none of .*resnet18"):
        NetworkSpec(encoder="resnet19").build(3)


def test_a_network_of_an_older_checkpoint_reads_the_dense_map() -> None:
    assert NetworkSpec.from_metadata({"encoder": "resnet18"}).neighbours is Neighbours.EXACT


def test_the_neighbours_are_those_of_the_definition() -> None:
    network = NetworkSpec(encoder="resnet18", neighbours=Neighbours.ZEROS).build(3)
    assert isinstance(network, EncoderCascade) and not network.exact
