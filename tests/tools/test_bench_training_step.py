"""The training-step bench: its arithmetic, and a whole run on a tiny network."""

from __future__ import annotations

import importlib.util
import json
from pathlib import Path
from types import ModuleType

import pytest
import torch
from tiny_training import TINY

from lc_trt.ir.cost import StageMacs
from lc_trt.model import presets


@pytest.fixture
def tool(repository: Path, monkeypatch: pytest.MonkeyPatch) -> ModuleType:
    monkeypatch.setitem(presets.PRESETS, "tiny", TINY)
    path = repository / "tools" / "bench_training_step.py"
    spec = importlib.util.spec_from_file_location(path.stem, path)
    assert spec is not None and spec.loader is not None
    module = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(module)
    return module


def test_the_ceiling_counts_all_heads_in_both_forms(tool: ModuleType) -> None:
    macs = StageMacs(10, 1, 20, 2, 30, 3)
    assert tool.ceiling(macs, (0.5, 0.25, 0.25)) == pytest.approx(66 / (11 + 11 + 33 / 4))
    assert tool.ceiling(macs, (0.0, 0.0, 1.0)) == 1


@pytest.mark.parametrize("shares", [(0.23, 0.29, 0.48), (0.56, 0.29, 0.15)])
def test_thresholds_let_about_the_shares_leave(
    tool: ModuleType, shares: tuple[float, float, float]
) -> None:
    torch.manual_seed(0)
    model = tool.build("tiny")
    for head in model.heads:
        for parameter in head.parameters():
            torch.nn.init.normal_(parameter, std=0.2)
    x = torch.randn(2, 3, 160, 160)
    rho = tool.thresholds(model, x, shares)
    with torch.no_grad():
        stages = model(x, rho).stages
    found = [float((stages == s).float().mean()) for s in (1, 2, 3)]
    assert found == pytest.approx(shares, abs=0.01)


def test_a_run_measures_both_forms(
    tool: ModuleType,
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
    capsys: pytest.CaptureFixture[str],
) -> None:
    out = tmp_path / "step.json"
    arguments = ["--preset", "tiny", "--size", "64x80", "--rounds", "1", "--threads", "1"]
    command = ["bench_training_step.py", *arguments, "--json", str(out)]
    monkeypatch.setattr("sys.argv", command)
    assert tool.main() == 0
    rows = json.loads(out.read_text())["rows"]
    assert [row["name"] for row in rows] == ["LC", "LC + all", "LC fast", "LC fast + all"]
    assert len(capsys.readouterr().out.splitlines()) == 4
    for row in rows:
        assert row["masked_dense_ms"] > 0 and row["region_ms"] > 0 and row["speedup"] > 0
        assert sum(row["shares"]) == pytest.approx(1, abs=0.01)
        assert (row["ceiling"] is None) == row["name"].endswith("all")
