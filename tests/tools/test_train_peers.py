"""Training peers and measuring them: facts of the training, and a whole run."""

from __future__ import annotations

import importlib.util
import json
import sys
from pathlib import Path
from types import ModuleType

import pytest
from narrow_peers import narrow_peers
from tiny_training import make_tree, tiny_config
from training_fixtures import one_thread

from lc_trt.bench.accuracy import Accuracies

__all__ = ["narrow_peers", "one_thread"]

CONFIG = """
preset: ddrnet-23-slim
classes: "3"
augment: {crop: [64, 64], scale: [0.9, 1.1], aspect: 1, jitter: 0.1}
batch: 2
workers: 0
phases:
  - {loss: published, epochs: 1, optimizer: {rate: 0.01}}
"""


@pytest.fixture(scope="module")
def tool(repository: Path) -> ModuleType:
    spec = importlib.util.spec_from_file_location(
        "train_peers", repository / "tools" / "train_peers.py"
    )
    assert spec is not None and spec.loader is not None
    module = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(module)
    return module


def run(tool: ModuleType, monkeypatch: pytest.MonkeyPatch, *arguments: object) -> int:
    monkeypatch.setattr(sys, "argv", ["train_peers.py", *map(str, arguments)])
    return int(tool.main())


def test_facts_of_the_training(tool: ModuleType) -> None:
    config = tiny_config(Path("data"), init="runs/street.safetensors").as_dict()
    assert tool.training_facts(config) == {
        "epochs": 2, "batch": 2, "crop": [64, 64], "pretraining": "street.safetensors",
    }  # fmt: skip
    assert tool.training_facts({**config, "init": None})["pretraining"] is None


def test_every_peer_has_a_configuration(tool: ModuleType) -> None:
    for peer in tool.PEERS:
        assert (tool.ROOT / "configs" / f"{peer}-camvid.yaml").is_file()


def test_a_wrong_size_costs_no_training(
    tool: ModuleType, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    assert run(tool, monkeypatch, "--data", "none", "--size", "big") == 2
    assert "--size 'big': expected HxW" in capsys.readouterr().err


@pytest.mark.slow
@pytest.mark.usefixtures("narrow_peers")
def test_a_run_leaves_a_result_that_the_bench_reads(
    tool: ModuleType, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    data, results = make_tree(tmp_path / "street"), tmp_path / "results"
    (tmp_path / "ddrnet-23-slim-camvid.yaml").write_text(CONFIG)
    arguments = [
        "--data", data, "--peer", "ddrnet-23-slim", "--configs", tmp_path, "--out", tmp_path,
        "--results", results, "--size", "64x96", "--device", "cpu", "--set", "phases.0.epochs=2",
    ]  # fmt: skip
    assert run(tool, monkeypatch, *arguments) == 0
    result = json.loads((results / "eval-ddrnet-23-slim-camvid.json").read_text())
    assert (result["model"], result["size"], result["images"]) == ("ddrnet-23-slim", [64, 96], 2)
    assert result["training"]["epochs"] == 2 and 0 < result["miou"] <= 1
    found = Accuracies(results).find("ddrnet-23-slim", None)
    assert found is not None and found.miou == result["miou"]
    assert found.protocol == "street val, 64x96, 2 epochs from random weights"
    assert run(tool, monkeypatch, *arguments) == 0, "a finished run is measured again"
