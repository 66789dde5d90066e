"""`lc-trt eval --exits`."""

from __future__ import annotations

import json
from pathlib import Path

import pytest
from tiny_checkpoints import build_tiny, save_tiny
from tiny_training import make_tree

from lc_trt.cli.app import main
from lc_trt.model.exits import FITTED, RULES


@pytest.fixture(scope="module")
def data(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return make_tree(tmp_path_factory.mktemp("sets") / "street")


@pytest.fixture
def checkpoint(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """Weights with all exit rules."""
    build_tiny(monkeypatch)
    return save_tiny(tmp_path / "best.safetensors", fitted_rules=list(FITTED))


def words(model: Path, data: Path, *more: str) -> list[str]:
    size = ("--size", "48x64", "--limit", "1")
    return ["eval", str(model), "--data", str(data), *size, "--exits", *more]


def test_json_and_plot(
    checkpoint: Path, data: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    plot = tmp_path / "exits.png"
    assert main(words(checkpoint, data, "--json", "--plot", str(plot))) == 0
    shown = capsys.readouterr()
    found = json.loads(shown.out)
    assert [curve["rule"] for curve in found["curves"]] == [*RULES, "oracle"]
    assert (found["model"], found["rule"], found["missing"]) == ("tiny", "largest", [])
    assert (found["exact"], found["images"], found["size"]) == (True, 1, [48, 64])
    assert found["command"].endswith("--exits --json --plot exits.png")
    assert plot.read_bytes().startswith(b"\x89PNG")
    assert shown.err.splitlines()[-1] == f"wrote {plot}"


def test_table(checkpoint: Path, data: Path, capsys: pytest.CaptureFixture[str]) -> None:
    assert main(words(checkpoint, data)) == 0
    shown = capsys.readouterr()
    assert "Exit rules at equal shares of labels changed" in shown.out
    assert "its exit rule is largest" in shown.out
    for rule in (*RULES, "oracle"):
        assert rule in shown.out
    assert shown.err == ""


def test_rules_that_are_not_fitted_are_named(
    data: Path,
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
    capsys: pytest.CaptureFixture[str],
) -> None:
    build_tiny(monkeypatch)
    path = save_tiny(tmp_path / "w.safetensors", neighbours="zeros")
    assert main(words(path, data)) == 0
    shown = capsys.readouterr().err
    assert f"{path} has no parameters for class, learned: python tools/fit_exits.py" in shown
    assert f"warning: {path}: neighbours that left change" in shown


@pytest.mark.parametrize(
    ("more", "line"),
    [
        (["--rho", "0.9"], "--rho: --exits compares rules at all thresholds, in PyTorch; omit"),
        (["--rho-sweep"], "--rho-sweep: --exits compares"),
        (["--grid"], "--grid: --exits compares"),
        (["--report", "page"], "--report: --exits compares"),
        (["--device", "cpu"], "--device: --exits compares"),
        (["--bgr"], "--exits takes a checkpoint, with its own classes and normalisation; omit"),
        (["--plot", "exits.jpg"], "--plot exits.jpg: unknown image format, expected .png"),
    ],
)
def test_options_that_do_not_fit_are_refused(
    more: list[str],
    line: str,
    checkpoint: Path,
    data: Path,
    capsys: pytest.CaptureFixture[str],
) -> None:
    assert main(words(checkpoint, data, *more)) == 2
    shown = capsys.readouterr().err
    assert line in shown and shown.count("\n") == 1


def test_other_models_are_refused(
    data: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    assert main(words(tmp_path / "model.onnx", data)) == 2
    shown = capsys.readouterr().err
    assert "model.onnx: --exits needs the probabilities of all stages" in shown
    assert shown.count("\n") == 1


def test_a_plot_needs_exits(data: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    assert main(["eval", "x.onnx", "--data", str(data), "--plot", "exits.png"]) == 2
    shown = capsys.readouterr().err
    assert "--plot exits.png: draws exit rules; add --exits, or use --report DIR" in shown
