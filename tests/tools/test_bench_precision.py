"""What the precision bench asks of its result, and that it runs."""

from __future__ import annotations

import importlib.util
import json
import sys
from pathlib import Path
from types import ModuleType

import pytest
from tiny_training import TINY

from lc_trt.model import presets


@pytest.fixture(scope="module")
def tool(repository: Path) -> ModuleType:
    spec = importlib.util.spec_from_file_location(
        "bench_precision", repository / "tools" / "bench_precision.py"
    )
    assert spec is not None and spec.loader is not None
    module = importlib.util.module_from_spec(spec)
    sys.modules["bench_precision"] = module
    spec.loader.exec_module(module)
    return module


TIMES = {
    "dense fp32 onnxruntime": [400.0, 410.0],
    "dense int8 openvino": [105.0, 108.0],
    "dense int8 onnxruntime": [104.0, 104.0],
    "fast int8 openvino": [52.0, 52.0],
    "fast bf16 openvino": [100.0, 100.0],
}


def test_each_row_is_compared_with_the_fastest_of_its_kind(tool: ModuleType) -> None:
    found = {(v.row, v.over): (v.found, v.met) for v in tool.judge(TIMES)}
    assert found == {
        ("fast int8 openvino", "dense fp32 onnxruntime"): (7.788, True),
        ("fast bf16 openvino", "dense fp32 onnxruntime"): (4.05, True),
        ("fast int8 openvino", "dense int8 onnxruntime"): (2.0, True),
    }


@pytest.mark.parametrize("row", ["fast int8 openvino", "fast bf16 openvino"])
def test_a_slow_row_misses(tool: ModuleType, row: str) -> None:
    verdicts = tool.judge({**TIMES, row: [390.0, 390.0]})
    assert {v.row for v in verdicts if not v.met} == {row}


def test_precisions_without_results_are_not_judged(tool: ModuleType) -> None:
    times = {name: value for name, value in TIMES.items() if "bf16" not in name}
    assert {v.row for v in tool.judge(times)} == {"fast int8 openvino"}


@pytest.mark.slow
def test_it_runs(tool: ModuleType, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setitem(presets.PRESETS, "tiny", TINY)
    monkeypatch.setattr(tool, "SIZE", (64, 96))
    out = tmp_path / "new" / "p.json"
    arguments = ["--preset", "tiny", "--rounds", "1", "--warmup", "0", "--threads", "1"]
    places = ["--out", str(out), "--work", str(tmp_path)]
    monkeypatch.setattr(sys, "argv", ["x", *arguments, *places])
    assert tool.main() in (0, 1)
    body = json.loads(out.read_text())
    names = {row["name"] for row in body["rows"]}
    assert {"dense int8 openvino", "fast int8 openvino", "fast int8 onnxruntime"} <= names
    fast = next(row for row in body["rows"] if row["name"] == "fast int8 openvino")
    assert sum(fast["shares"]) == pytest.approx(1, abs=0.01) and fast["p50_ms"] > 0
    assert [v["required"] for v in body["verdicts"] if "int8" in v["row"]] == [6.5, 1.75]
