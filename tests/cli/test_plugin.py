"""`lc-trt plugin`."""

from __future__ import annotations

import json
from pathlib import Path

import pytest
from fake_compilers import tools

from lc_trt.cli.app import main
from lc_trt.trt.plugin_library import FILE

__all__ = ["tools"]


def test_it_is_compiled_in_parallel_for_what_is_asked(
    tools: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    out = tmp_path / "out"
    command = ["plugin", "build", "-o", str(out), "--architectures", "86,89", "-j", "3"]
    assert main(command) == 0
    assert "version 1, sm_89, compute_120" in capsys.readouterr().out
    configure, build, _ = (tools / "log").read_text().splitlines()
    assert "-DCMAKE_CUDA_ARCHITECTURES=86;89" in configure
    assert build.endswith("--parallel 3")
    assert [p.name for p in out.iterdir()] == [FILE]
    assert main([*command, "--json"]) == 0
    assert json.loads(capsys.readouterr().out)["architectures"] == ["sm_89", "compute_120"]


def test_a_compiler_that_fails_is_one_line_and_leaves_the_old_library(
    tools: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    out = tmp_path / "out"
    out.mkdir()
    (out / FILE).write_bytes(b"old")
    (tools / "fail").touch()
    assert main(["plugin", "build", "-o", str(out)]) == 1
    line = capsys.readouterr().err
    assert line.count("\n") == 1
    assert "compiling the plugin library failed with exit code 2 (a.cu(3): error: no such" in line
    assert (out / FILE).read_bytes() == b"old"
    assert main(["plugin", "build", "-o", str(out), "--verbose"]) == 1
    assert "a.cu(3): error: no such thing\n" in capsys.readouterr().err


def test_a_folder_that_cannot_be_written_is_named(
    tools: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    (tmp_path / "file").touch()
    assert main(["plugin", "build", "-o", str(tmp_path / "file" / "out")]) == 1
    assert "cannot be written (Not a directory); choose another folder" in capsys.readouterr().err


@pytest.mark.parametrize("option", [["--architectures", "89,x"], ["--jobs", "0"]])
def test_wrong_options_are_usage_errors(
    option: list[str], capsys: pytest.CaptureFixture[str]
) -> None:
    assert main(["plugin", "build", *option]) == 2
    assert capsys.readouterr().err.startswith(f"error: {option[0]}")
