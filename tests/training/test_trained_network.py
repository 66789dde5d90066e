"""Networks of checkpoints: built as their metadata say."""

from __future__ import annotations

from pathlib import Path

import pytest
import torch
from tiny_encoder import tiny_encoder_cascade

from lc_trt.errors import LcTrtError, UsageError
from lc_trt.model.network import NetworkSpec
from lc_trt.training.checkpoint import save_weights
from lc_trt.training.trained_network import open_network


def test_a_network_is_built_as_its_metadata_say(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    specs: list[NetworkSpec] = []

    def build(spec: NetworkSpec, classes: int) -> torch.nn.Module:
        specs.append(spec)
        return tiny_encoder_cascade(classes, seed=1, exit_rule=spec.exit_rule)

    monkeypatch.setattr(NetworkSpec, "build", build)
    saved = tiny_encoder_cascade(3)
    path = tmp_path / "w.safetensors"
    save_weights(path, saved, {"encoder": "tiny", "classes": "3", "exit_rule": "margin"})
    network = open_network(path)
    assert specs == [NetworkSpec(encoder="tiny", exit_rule="margin")] == [network.spec]
    assert (len(network.classes), network.model.training) == (3, False)
    assert network.metadata["exit_rule"] == "margin"
    for name, value in saved.state_dict().items():
        assert torch.equal(network.model.state_dict()[name], value)


@pytest.mark.parametrize("metadata", [{}, {"preset": "irnet-small"}, {"classes": "3"}])
def test_weights_that_name_no_network_are_refused(metadata: dict[str, str], tmp_path: Path) -> None:
    save_weights(tmp_path / "w.safetensors", torch.nn.Linear(1, 1), metadata)
    with pytest.raises(LcTrtError, match=r"w\.safetensors: names no network and classes"):
        open_network(tmp_path / "w.safetensors")


def test_a_peer_has_no_stages(tmp_path: Path) -> None:
    path = tmp_path / "peer.safetensors"
    save_weights(path, torch.nn.Linear(1, 1), {"preset": "pidnet-s", "classes": "3"})
    with pytest.raises(UsageError, match=r"pidnet-s has no stages .*lc-trt eval peer\.onnx"):
        open_network(path)
