"""Targets of the irnet bench."""

from __future__ import annotations

import copy
import importlib.util
from pathlib import Path
from types import ModuleType
from typing import Any

import pytest

GOOD: dict[str, Any] = {
    "rows": [
        {"name": "dense (openvino)", "speedup": 1.0, "ceiling": None},
        {"name": "LC", "speedup": 1.12, "ceiling": 1.24},
        {"name": "LC fast", "speedup": 1.84, "ceiling": 1.99},
    ],
    "memory": {"second_half_mb": 3.0},
}


@pytest.fixture(scope="module")
def tool(repository: Path) -> ModuleType:
    spec = importlib.util.spec_from_file_location(
        "bench_irnet", repository / "tools" / "bench_irnet.py"
    )
    assert spec is not None and spec.loader is not None
    module = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(module)
    return module


def test_all_reached(tool: ModuleType, capsys: pytest.CaptureFixture[str]) -> None:
    assert tool.judge(GOOD) == 0
    lc, fast, memory = capsys.readouterr().out.splitlines()
    assert lc == "LC: 0.903 of its ceiling, required 0.9: met"
    assert fast == "LC fast: 0.925 of its ceiling, required 0.92: met"
    assert memory == "memory: +3 MiB in the second half of 500 frames: flat"


@pytest.mark.parametrize(
    ("change", "line"),
    [
        (("rows", 1, "speedup", 1.11), "LC: 0.895 of its ceiling, required 0.9: missed"),
        (("rows", 2, "ceiling", 2.1), "LC fast: 0.876 of its ceiling, required 0.92: missed"),
        (("memory", "second_half_mb", 90.0), "+90 MiB in the second half of 500 frames: growing"),
    ],
)
def test_a_missed_target_exits_with_1(
    change: tuple[Any, ...],
    line: str,
    tool: ModuleType,
    capsys: pytest.CaptureFixture[str],
) -> None:
    result = copy.deepcopy(GOOD)
    *path, key, value = change
    place: Any = result
    for step in path:
        place = place[step]
    place[key] = value
    assert tool.judge(result) == 1
    assert line in capsys.readouterr().out
