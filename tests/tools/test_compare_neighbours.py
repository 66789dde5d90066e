"""Comparing zeros, stand-ins and exact neighbours: the measurement, the table, and a whole run."""

from __future__ import annotations

import importlib.util
import json
import sys
from pathlib import Path
from types import ModuleType

import numpy as np
import pytest
import torch
from tiny_encoder import tiny_encoder, tiny_encoder_cascade
from tiny_training import TINY
from training_fixtures import one_thread, tiny_preset, tree

from lc_trt.errors import UsageError
from lc_trt.model import network
from lc_trt.model.neighbour_forms import FORMS, EncoderForms
from lc_trt.model.neighbours import Neighbours
from lc_trt.model.network import NetworkSpec
from lc_trt.training.checkpoint import save_weights

__all__ = ["one_thread", "tiny_preset", "tree"]


@pytest.fixture(scope="module")
def tool(repository: Path) -> ModuleType:
    path = repository / "tools" / "compare_neighbours.py"
    spec = importlib.util.spec_from_file_location("compare_neighbours", path)
    assert spec is not None and spec.loader is not None
    module = importlib.util.module_from_spec(spec)
    sys.modules["compare_neighbours"] = module
    spec.loader.exec_module(module)
    return module


@pytest.fixture(autouse=True)
def encoder(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(network, "build_encoder", lambda name: tiny_encoder())


def save(folder: Path, spec: NetworkSpec) -> Path:
    """Random weights of three classes, unsure enough that cells reach every stage."""
    torch.manual_seed(0)
    model = spec.build(3).eval()
    folder.mkdir()
    path = folder / "best.safetensors"
    save_weights(path, model, {**spec.as_metadata(), "classes": "3"})
    return path


def test_rows_count_what_changes(tool: ModuleType) -> None:
    networks = {form: tiny_encoder_cascade(3, neighbours=form) for form in FORMS}
    forms = EncoderForms(networks, Neighbours.EXACT, None)
    torch.manual_seed(4)
    x = torch.randn(1, 3, 50, 66)
    model = networks[Neighbours.EXACT]
    with torch.inference_mode():
        whole = model.upsample(forms.whole(forms.open(x)), (50, 66)).argmax(1)[0].numpy()
        rho = float(model.probabilities(model.deep(x)[0], 1).amax(1).median())
        label = whole.astype(np.uint8)
        miou, rows = tool.measure(forms, [(x, label)], 3, [rho, 1.0])
        output = model(x, (rho, rho))
        labels = model.upsample(output.probabilities, (50, 66)).argmax(1)[0].numpy()
    assert miou == 1  # the truth is the network's own answer
    found = {(row.form, row.rho): row for row in rows}
    exact = found[Neighbours.EXACT, rho]
    assert exact.changed == pytest.approx(float((labels != whole).mean()), abs=1e-6)
    assert exact.reached[0] == pytest.approx(float((output.stages > 1).float().mean()), abs=1e-5)
    assert exact.reached[1] == pytest.approx(float((output.stages > 2).float().mean()), abs=1e-5)
    assert exact.miou_change == pytest.approx(exact.miou - 1, abs=1e-5) and exact.miou < 1
    for form in FORMS:
        assert found[form, 1.0].changed < 1e-3 and found[form, 1.0].reached == (1, 1)
        assert found[form, rho].reached[0] == exact.reached[0]


def test_both_networks_stand_in_one_table(
    tool: ModuleType,
    tree: Path,
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
    capsys: pytest.CaptureFixture[str],
) -> None:
    specs = {
        "published": NetworkSpec(TINY.name),
        "exact": NetworkSpec(encoder="tiny"),
        "retrained": NetworkSpec(encoder="tiny", neighbours=Neighbours.STAND_IN),
    }
    paths = [save(tmp_path / name, spec) for name, spec in specs.items()]
    out = tmp_path / "neighbours.json"
    options = ["--data", str(tree), "--images", "1", "--fit-images", "2", "--rho", "0.9,0.335"]
    monkeypatch.setattr(sys, "argv", ["tool", *map(str, paths), *options, "--out", str(out)])
    assert tool.main() == 0
    written = json.loads(out.read_text())
    assert [n["network"] for n in written["networks"]] == list(specs)
    assert [n["trained_with"] for n in written["networks"]] == ["zeros", "exact", "stand_in"]
    assert [len(n["rows"]) for n in written["networks"]] == [6, 6, 2]
    assert [len(n["explained"]) for n in written["networks"]] == [1, 2, 0]
    assert written["command"].startswith("python tools/compare_neighbours.py")
    lines = capsys.readouterr().out.splitlines()
    assert lines == (tmp_path / "neighbours.md").read_text().splitlines()
    assert len(lines) == 2 + 3 * 2
    assert len({line.count("|") for line in lines}) == 1
    first = written["networks"][0]["rows"][0]
    cells = [cell.strip() for cell in lines[2].split("|")[2:7]]
    assert cells == [
        "0.9",
        f"{first['reached'][0]:.1%}",
        f"{first['reached'][1]:.1%}",
        f"{first['changed']:.2%}",
        f"{100 * first['miou_change']:+.2f}",
    ]
    blank = [cell.strip() for cell in lines[-1].split("|")]
    assert blank[4:7] == ["", "", ""] and blank[10:13] == ["", "", ""] and all(blank[7:10])


def test_a_network_without_exits_is_refused(tool: ModuleType, tmp_path: Path) -> None:
    path = save(tmp_path / "peer", NetworkSpec("pidnet-s"))
    with pytest.raises(UsageError, match="pidnet-s has no exits; expected weights of a cascade"):
        tool.open_forms(path, NetworkSpec("pidnet-s"), 3, ())


def test_the_document_has_the_table_of_the_committed_run(
    tool: ModuleType, repository: Path
) -> None:
    run = json.loads((repository / "benchmarks" / "neighbours.json").read_text())
    table = tool.markdown(run["networks"])
    assert (repository / "benchmarks" / "neighbours.md").read_text() == table
    text = (repository / "docs" / "exact-regions.md").read_text()
    _, start, rest = text.partition("<!-- table -->\n\n")
    found, end, _ = rest.partition("\n<!-- end of table -->")
    assert start and end
    assert found == table, f"put benchmarks/neighbours.md into {text[:16]}:\n{table}"
