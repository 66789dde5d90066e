"""The tables and the figure of tools/gpu/table.py."""

from __future__ import annotations

import json
import sys

import pytest

from lc_trt.errors import LcTrtError


def kernel_row(**changes):
    row = {
        "key": "k", "preset": "irnet", "size": [300, 500], "batch": 8, "type": "float16",
        "layer": "1x1 8>8", "count": 2, "mask": "clustered", "share": 0.5, "ms": 1.0,
        "dense_ms": 1.5, "goal": 0.5 / 0.9, "met": False, "tflops": 3.0, "tactic": 1,
        "floor_ms": 0.5,
    }  # fmt: skip
    return {**row, **changes}


def test_kernel_lines_are_added_up(gpu_tool, tmp_path):
    table, path = gpu_tool("table"), tmp_path / "kernels.jsonl"
    rows = [
        {"machine": {"gpu": "H100"}}, kernel_row(ms=99.0), kernel_row(),
        kernel_row(key="other", count=1, ms=0.5, dense_ms=1.0, met=True),
        kernel_row(mask="full", share=1.0, ms=1.2, met=True), {"finished": "k"},
    ]  # fmt: skip
    path.write_text("\n".join(json.dumps(row) for row in rows) + '\n{"key": "cut')
    found, machines = table.read_lines(path)
    assert len(found) == 3  # the second measurement of a layer replaces the first
    assert machines == [{"gpu": "H100"}]
    (line,) = table.kernel_table(found)[2:]
    # (2 x 1.0 + 0.5) / (2 x 1.5 + 1.0) / 0.5, and 2.4 / 3.0
    wanted = "| irnet | 300x500 | 8 | float16 | clustered | 2 | 1.25 | 0.80 | 2 of 3 |"
    assert line == wanted
    assert [line.split("|")[5].strip() for line in table.worst(found)[2:]] == ["clustered"]


def test_table_and_figure_of_a_network(gpu_tool, tmp_path, monkeypatch, capsys):
    rows = [
        {"name": "dense (fused)", "ms": 4.0, "images_per_second": 2000.0, "speedup": 1.0,
         "ceiling": None, "reached": None, "goal": None, "met": None, "shares": None,
         "published_fps": 9.0},
        {"name": "LC", "ms": 2.0, "images_per_second": 4000.0, "speedup": 2.0, "ceiling": 2.1,
         "reached": 0.952, "goal": 0.9, "met": True, "shares": [0.23, 0.29, 0.48],
         "published_fps": 14.7},
    ]  # fmt: skip
    part = {"batch": 8, "size": [300, 500], "dtype": "float16", "error": 1e-3, "rows": rows}
    result = {
        "gpu": "H100", "preset": "irnet", "commit": "abc", "rounds": 40, "command": "python x",
        "published": "CVPR", "batches": [part],
    }  # fmt: skip
    path, figure = tmp_path / "network.json", tmp_path / "gpu.svg"
    path.write_text(json.dumps(result))
    monkeypatch.setattr(sys, "argv", ["t", "--network", str(path), "--figure", str(figure)])
    assert gpu_tool("table").main() == 0
    out = capsys.readouterr().out
    assert "| LC | 2.000 | 4000 | 2.00 | 2.10 | 0.95 | 0.9 met | 23/29/48 | 14.7 |" in out
    assert "<svg" in figure.read_text()


def test_a_file_without_measurements_is_named(gpu_tool, tmp_path):
    path = tmp_path / "empty.jsonl"
    path.write_text('{"machine": {}}\n')
    with pytest.raises(LcTrtError, match=r"empty\.jsonl: has no measurements"):
        gpu_tool("table").read_lines(path)
