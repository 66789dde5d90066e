"""tools/fit_exits.py fits the exit rules of a checkpoint, and chooses one."""

from __future__ import annotations

import importlib.util
from pathlib import Path
from types import ModuleType

import cv2
import numpy as np
import pytest
from tiny_checkpoints import build_tiny, save_tiny
from tiny_training import make_tree

from lc_trt.errors import LcTrtError, UsageError
from lc_trt.model.exits import FITTED
from lc_trt.training.checkpoint import load_weights


@pytest.fixture
def tool(repository: Path, monkeypatch: pytest.MonkeyPatch) -> ModuleType:
    """The script, in a process whose only network is the small one."""
    build_tiny(monkeypatch)
    path = repository / "tools" / "fit_exits.py"
    spec = importlib.util.spec_from_file_location("fit_exits", path)
    assert spec is not None and spec.loader is not None
    module = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(module)
    return module


@pytest.fixture
def files(tmp_path: Path) -> list[str]:
    """The options of a fit: checkpoint, data, result."""
    source = save_tiny(tmp_path / "best.safetensors")
    data = make_tree(tmp_path / "data")
    return [str(source), "--data", str(data), "-o", str(tmp_path / "fitted.safetensors")]


def test_rules_are_fitted_and_one_is_chosen(
    tool: ModuleType, files: list[str], capsys: pytest.CaptureFixture[str]
) -> None:
    tool.main([*files, "--steps", "2", "--rule", "class"])
    state, metadata = load_weights(Path(files[-1]))
    assert (metadata["exit_rule"], metadata["fitted_rules"]) == ("class", list(FITTED))
    assert any(name.startswith("exit_rules.rules.learned.") for name in state)
    shown = capsys.readouterr().out.splitlines()
    assert shown[0].startswith("2/2: loss at boundaries 1 / 2 ") and shown[-1].startswith("wrote ")


def test_labels_are_not_used(tool: ModuleType, files: list[str]) -> None:
    found = []
    for value in (0, 1):
        for path in (Path(files[2]) / "train" / "labels").iterdir():
            cv2.imwrite(str(path), np.full((64, 96), value, np.uint8))
        tool.main([*files, "--steps", "2"])
        found.append(load_weights(Path(files[-1]))[0])
    assert all((found[0][name] == value).all() for name, value in found[1].items())


def test_errors_cost_no_file(tool: ModuleType, files: list[str]) -> None:
    with pytest.raises(UsageError, match="unknown exit rule 'gini'"):
        tool.main([*files, "--rule", "gini"])
    with pytest.raises(LcTrtError, match="no split 'test' there"):
        tool.main([*files, "--split", "test"])
    assert not Path(files[-1]).exists()
