"""A tiny network that subcommands know as a preset, and its ONNX."""

from __future__ import annotations

from pathlib import Path

import pytest
from tiny_training import TINY

from lc_trt.cli import app
from lc_trt.model import presets


@pytest.fixture
def tiny_preset(monkeypatch: pytest.MonkeyPatch) -> None:
    """The preset ``tiny``."""
    monkeypatch.setitem(presets.PRESETS, "tiny", TINY)


@pytest.fixture
def model(tmp_path: Path, tiny_preset: None, capsys: pytest.CaptureFixture[str]) -> Path:
    """An ONNX of the preset, as `lc-trt export` writes it."""
    path = tmp_path / "model.onnx"
    assert app.main(["export", "--preset", "tiny", "--classes", "3", "-o", str(path)]) == 0
    capsys.readouterr()
    return path
