"""The steps of tools/gpu/check.py, and every script of tools/gpu without a GPU."""

from __future__ import annotations

import sys
from pathlib import Path

import pytest
import torch
from gpubench.machine import finish
from gpubench.timing import Budget

HOUR = 60.0


@pytest.mark.parametrize("script", ["check", "bench_kernels", "bench_network"])
def test_without_a_gpu_scripts_exit_with_1(script, gpu_tool, monkeypatch, tmp_path, capsys):
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
