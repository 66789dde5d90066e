"""A checkpoint as an engine, against the network and its export in ONNX Runtime."""

from __future__ import annotations

import hashlib
import re
from pathlib import Path

import numpy as np
import pytest
import tiny_encoder
import tiny_networks
import torch
from tiny_networks import CLASSES, MEAN, STD, frames, tiny_cascade

from lc_trt.errors import LcTrtError, UsageError
from lc_trt.evaluation.torch_engine import TorchEngine, open_checkpoint
from lc_trt.ir.export import export_cascade
from lc_trt.model import network, presets
from lc_trt.model.irnet import irnet_trunk
from lc_trt.model.presets import Preset
from lc_trt.training.checkpoint import save_weights

SIZE = (52, 76)  # no multiple of 8
RHO = np.array([0.5, 0.4], np.float32)


@pytest.fixture
def checkpoint(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """Weights of a preset `tiny`."""
    tiny = Preset("tiny", irnet_trunk, (1, 1, 2), 0.125, "plain", 8, MEAN, STD)
    monkeypatch.setitem(presets.PRESETS, "tiny", tiny)
    path = tmp_path / "w.safetensors"
    save_weights(path, tiny_cascade(), {"preset": "tiny", "classes": str(CLASSES)})
    return path


def test_a_pass_equals_onnx_runtime(checkpoint: Path) -> None:
    engine, manifest = open_checkpoint(checkpoint, SIZE, threads=1)
    exported = tiny_networks.session(export_cascade(tiny_cascade(), tiny_networks.INFO, MEAN, STD))
    image = frames(1, SIZE)
    rho = tiny_networks.middle_rho(exported, image)
    output = engine.run(image, np.array(rho, np.float32))
    expected = tiny_networks.run(exported, image, rho)
    assert output.labels.dtype == output.stages.dtype == np.uint8
    assert output.confidence.dtype == np.float32
    assert (output.labels == expected["labels"]).mean() >= 0.999
    np.testing.assert_array_equal(output.stages, expected["stages"])
    np.testing.assert_allclose(output.confidence, expected["confidence"], atol=1e-4)
    assert set(np.unique(output.stages)) == {1, 2, 3}
    assert (engine.kind, engine.size, engine.batch) == ("cascade", SIZE, 1)
    assert manifest.model_sha256 == hashlib.sha256(checkpoint.read_bytes()).hexdigest()
    assert (manifest.backend, manifest.name, len(manifest.classes)) == ("pytorch", "tiny", CLASSES)
    engine.close()


def test_a_network_on_an_encoder_has_its_own_stride_and_normalisation(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(network, "build_encoder", lambda _: tiny_encoder.tiny_encoder())
    spec, path = network.NetworkSpec(encoder="tiny"), tmp_path / "w.safetensors"
    torch.manual_seed(0)
    model = spec.build(CLASSES)
    save_weights(path, model, {**spec.as_metadata(), "classes": str(CLASSES)})
    engine, manifest = open_checkpoint(path, SIZE, threads=1)
    source = export_cascade(model, tiny_networks.INFO, *spec.normalisation)
    exported, image = tiny_networks.session(source), frames(1, SIZE)
    rho = tiny_networks.middle_rho(exported, image)
    output = engine.run(image, np.array(rho, np.float32))
    expected = tiny_networks.run(exported, image, rho)
    assert output.stages.shape == (1, 13, 19) and manifest.name == "tiny"
    np.testing.assert_array_equal(output.stages, expected["stages"])
    np.testing.assert_allclose(output.confidence, expected["confidence"], atol=1e-4)
    engine.close()


def test_a_peer_is_refused_with_the_commands_that_evaluate_it(tmp_path: Path) -> None:
    path = tmp_path / "w.safetensors"
    save_weights(path, torch.nn.Conv2d(3, 2, 1), {"preset": "pidnet-s", "classes": "camvid"})
    message = f"lc-trt export --checkpoint {path} -o peer.onnx, then lc-trt eval peer.onnx"
    with pytest.raises(UsageError, match=re.escape(message)):
        open_checkpoint(path, SIZE)


def test_closing_restores_the_thread_count() -> None:
    before = torch.get_num_threads()
    engine = TorchEngine(tiny_cascade(), MEAN, STD, SIZE, threads=before + 1)
    assert torch.get_num_threads() == before + 1
    engine.close()
    assert torch.get_num_threads() == before
    with pytest.raises(LcTrtError, match="closed"):
        engine.run(frames(1, SIZE), RHO)


def test_outputs_survive_the_next_pass() -> None:
    engine = TorchEngine(tiny_cascade(), MEAN, STD, SIZE)
    images = frames(2, SIZE)
    first = engine.run(images[:1], RHO)
    copies = [array.copy() for array in (first.labels, first.stages, first.confidence)]
    engine.run(images[1:], RHO)
    for copy, array in zip(copies, (first.labels, first.stages, first.confidence), strict=True):
        np.testing.assert_array_equal(copy, array)


def test_weights_without_metadata_are_refused(checkpoint: Path, tmp_path: Path) -> None:
    unknown, other = tmp_path / "unknown.safetensors", tmp_path / "other.safetensors"
    save_weights(unknown, torch.nn.Linear(1, 1), {"preset": "tiny"})
    with pytest.raises(LcTrtError, match=r"unknown\.safetensors: names no network and classes"):
        open_checkpoint(unknown, SIZE)
    save_weights(other, torch.nn.Linear(1, 1), {"preset": "tiny", "classes": "2"})
    with pytest.raises(LcTrtError, match=r"other\.safetensors: lacks"):
        open_checkpoint(other, SIZE)
