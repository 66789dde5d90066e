"""`lc-trt eval --exits` opens a checkpoint and measures its rules."""

from __future__ import annotations

from pathlib import Path

import pytest
import torch
from recording_monitor import RecordingMonitor
from tiny_checkpoints import build_tiny, save_tiny
from tiny_training import make_tree

from lc_trt.errors import LcTrtError, UsageError
from lc_trt.evaluation.exit_comparison import Options, compare_exits, relative_operations
from lc_trt.ir.cost import stage_macs
from lc_trt.ir.export import export_cascade
from lc_trt.ir.metadata import ModelInfo
from lc_trt.model.exits import FITTED, RULES
from lc_trt.model.neighbours import Neighbours
from lc_trt.training.trained_network import open_network


@pytest.fixture(autouse=True)
def tiny(monkeypatch: pytest.MonkeyPatch) -> None:
    build_tiny(monkeypatch)


@pytest.fixture(scope="module")
def data(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return make_tree(tmp_path_factory.mktemp("sets") / "street")


def test_a_comparison_says_what_it_measured(data: Path, tmp_path: Path) -> None:
    path = save_tiny(tmp_path / "w.safetensors", fitted_rules=["class"], exit_rule="margin")
    monitor, threads = RecordingMonitor(), torch.get_num_threads()
    options = Options(limit=1, size=(48, 64), threads=threads + 1)
    found = compare_exits(path, data, options, command="lc-trt eval", monitor=monitor)
    assert monitor.phases == {"comparing exit rules": (1, 1)}
    assert torch.get_num_threads() == threads
    assert (found.model, found.rule, found.missing) == ("tiny", "margin", ("learned",))
    assert (found.exact, found.size, found.data, found.images) == (
        True, (48, 64), "street val", 1,
    )  # fmt: skip
    expected = [rule for rule in RULES if rule != "learned"]
    assert [curve.rule for curve in found.curves] == [*expected, "oracle"]
    values = found.as_dict()
    assert values["curves"][0]["points"][-1]["changed"] == 0
    assert values["environment"]["threads"] == threads + 1


def test_operations_are_those_of_the_export(tmp_path: Path) -> None:
    network = open_network(save_tiny(tmp_path / "w.safetensors", fitted_rules=FITTED))
    operations = relative_operations(network, (64, 96))
    info = ModelInfo("cascade", "tiny", network.classes.names, network.classes.colours)
    macs = stage_macs(export_cascade(network.model, info, *network.spec.normalisation), (64, 96))
    assert operations("largest", 1, 1) == 1
    for rule in ("largest", "margin", "class", "oracle"):
        assert operations(rule, 0.5, 0.2) == pytest.approx(macs.at(0.5, 0.2) / macs.at(1, 1))
    assert 0 < operations("largest", 0, 0) < operations("largest", 0.5, 0)
    assert operations("largest", 0.5, 0) < operations("largest", 0.5, 0.5) < 1
    # The learned head is paid for on all cells.
    learned = network.model.exit_rules.rules["learned"]
    own = 0
    for i, cells in enumerate((8 * 12, 16 * 24)):
        for part in (learned.project, learned.mix, learned.head):
            own += part[i].conv.weight.numel() * cells
    assert operations("learned", 1, 1) == pytest.approx(1 + own / macs.at(1, 1))


def test_a_network_that_reads_zeros_is_compared_but_not_exact(data: Path, tmp_path: Path) -> None:
    path = save_tiny(tmp_path / "w.safetensors", neighbours=str(Neighbours.ZEROS))
    found = compare_exits(path, data, Options(limit=1, size=(48, 64)))
    assert not found.exact and found.missing == FITTED


def test_anything_else_is_refused(data: Path, tmp_path: Path) -> None:
    for name in ("model.onnx", "model.lct"):
        with pytest.raises(UsageError, match=rf"{name}: --exits needs .* the \.safetensors file"):
            compare_exits(tmp_path / name, data, Options())
    with pytest.raises(LcTrtError, match="no such file"):
        compare_exits(tmp_path / "none.safetensors", data, Options())
