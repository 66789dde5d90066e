"""What tools/gpu/check.py runs, what table.py prints, and all scripts without a GPU."""

from __future__ import annotations

import json
import sys
from pathlib import Path

import pytest
import torch
from gpubench.machine import finish
from gpubench.timing import Budget

from lc_trt.errors import LcTrtError

HOUR = 60.0


@pytest.mark.parametrize("script", ["check", "bench_kernels", "bench_network"])
def test_without_a_gpu_is_one_line_and_1(script, gpu_tool, monkeypatch, tmp_path, capsys):
    monkeypatch.setattr(torch.cuda, "is_available", lambda: False)
    monkeypatch.setattr(sys, "argv", [script, "--out", str(tmp_path / "out")])
    with pytest.raises(SystemExit) as caught:
        finish(gpu_tool(script).main)
    assert caught.value.code == 1
    out, err = capsys.readouterr()
    assert out == ""
    assert err.startswith("error: no GPU: ")
    assert err.count("\n") == 1
    assert not (tmp_path / "out").exists()


def perform(gpu_tool, monkeypatch, tmp_path, codes, sanitizer="/usr/bin/true", minutes=HOUR):
    check = gpu_tool("check")
    monkeypatch.setattr(check.shutil, "which", lambda name: sanitizer)
    commands = []

    def runner(command, log: Path, seconds: float):
        commands.append(command)
        code, text = codes[len(commands) - 1]
        log.write_text(text)
        return code

    outcomes = check.perform(check.STEPS, tmp_path, Budget(minutes), runner)
    return {o.step: (o.result, o.last_line) for o in outcomes}, commands


def test_steps_and_checkers(gpu_tool, monkeypatch, tmp_path):
    clean = "9 passed in 1s\n========= ERROR SUMMARY: 0 errors"
    codes = [(0, "400 passed in 9s"), (1, "1 failed"), (0, clean), (9, "ERROR SUMMARY: 3 errors")]
    found, commands = perform(gpu_tool, monkeypatch, tmp_path, codes)
    assert found == {
        "tests": ("passed", "400 passed in 9s"),
        "shapes": ("failed", "1 failed"),
        "memcheck": ("passed", "========= ERROR SUMMARY: 0 errors"),
        "racecheck": ("failed", "ERROR SUMMARY: 3 errors"),
    }
    memcheck = commands[2]
    assert memcheck[:3] == ["/usr/bin/true", "--tool", "memcheck"]
    assert "kernel_substring=lc_trt" in memcheck


def test_a_missing_checker_and_ended_time_are_reported(gpu_tool, monkeypatch, tmp_path):
    codes = [(0, "3 passed"), (None, "cut off")]
    found, _ = perform(gpu_tool, monkeypatch, tmp_path, codes, sanitizer=None)
    assert found["shapes"][0] == "no time"
    assert found["memcheck"] == ("missing", "compute-sanitizer is not on the PATH")
    found, commands = perform(gpu_tool, monkeypatch, tmp_path, [], minutes=0.0)
    assert {result for result, _ in found.values()} == {"no time"}
    assert commands == []


def test_tests_that_all_skip_do_not_pass(gpu_tool, monkeypatch, tmp_path):
    codes = [(0, "400 skipped in 1s")] * 4
    found, _ = perform(gpu_tool, monkeypatch, tmp_path, codes)
    assert {result for result, _ in found.values()} == {"failed"}


def test_the_checked_tests_exist(gpu_tool, repository):
    check = gpu_tool("check")
    text = (repository / check.KERNEL_TESTS).read_text()
    for name in [check.RANDOM, *check.CHECKED.split(" or ")]:
        assert f"def {name}" in text, name


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


def test_the_network_s_table_and_figure(gpu_tool, tmp_path, monkeypatch, capsys):
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
    with pytest.raises(LcTrtError, match=r"empty\.jsonl: no measurement"):
        gpu_tool("table").read_lines(path)
