"""tools/fit_temperatures.py calibrates the checkpoint of a run."""

from __future__ import annotations

import importlib.util
from pathlib import Path
from types import ModuleType

import pytest
from tiny_encoder import MEAN, STD, soft_encoder_cascade
from tiny_training import make_tree

from lc_trt.errors import LcTrtError
from lc_trt.model.network import NetworkSpec
from lc_trt.training.checkpoint import load_weights, save_weights


@pytest.fixture
def tool(repository: Path, monkeypatch: pytest.MonkeyPatch) -> ModuleType:
    """The script, in a process whose only network is the small one."""
    monkeypatch.setattr(NetworkSpec, "build", lambda self, classes: soft_encoder_cascade(classes))
    monkeypatch.setattr(NetworkSpec, "normalisation", (MEAN, STD))
    path = repository / "tools" / "fit_temperatures.py"
    spec = importlib.util.spec_from_file_location("fit_temperatures", path)
    assert spec is not None and spec.loader is not None
    module = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(module)
    return module


@pytest.fixture
def files(tmp_path: Path) -> list[str]:
    """The options of a run: checkpoint, data, result."""
    metadata = {"encoder": "tiny", "classes": "3", "config": {"validate_rho": 0.7}}
    save_weights(tmp_path / "best.safetensors", soft_encoder_cascade(3), metadata)
    data = make_tree(tmp_path / "data")
    out = tmp_path / "fitted.safetensors"
    return [str(tmp_path / "best.safetensors"), "--data", str(data), "-o", str(out)]


def test_the_result_has_the_temperatures_that_are_printed(
    tool: ModuleType, files: list[str], capsys: pytest.CaptureFixture[str]
) -> None:
    tool.main(files)
    state, metadata = load_weights(Path(files[-1]))
    printed = capsys.readouterr().out
    assert state["temperatures"].tolist() == pytest.approx(metadata["temperatures"])
    for temperature in metadata["temperatures"]:
        assert f"{temperature:.3f} (NLL " in printed
    assert f"at rho 0.7: mIoU {100 * metadata['val_miou']:.2f} %" in printed


def test_another_split_gives_others(tool: ModuleType, files: list[str]) -> None:
    found = []
    for split in ("val", "train"):
        tool.main([*files, "--split", split])
        found.append(load_weights(Path(files[-1]))[1]["temperatures"])
    assert found[0] != found[1]


def test_missing_data_is_a_one_line_error(tool: ModuleType, files: list[str]) -> None:
    with pytest.raises(LcTrtError, match="no split 'test' there"):
        tool.main([*files, "--split", "test"])
    assert not Path(files[-1]).exists()
