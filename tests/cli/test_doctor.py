"""`lc-trt doctor`."""

from __future__ import annotations

import json
import sys
from pathlib import Path

import pytest
from fake_library import library_bytes

import lc_trt
from lc_trt.cli.app import main
from lc_trt.trt.plugin_library import FILE


def test_table_names_versions_and_what_is_missing(
    capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setitem(sys.modules, "torch", None)
    assert main(["doctor"]) == 0
    rows = {line.split()[0]: line for line in capsys.readouterr().out.splitlines() if line.strip()}
    assert lc_trt.__version__ in rows["lc-trt"]
    assert "missing" in rows["torch"]
    assert "pip install 'lc-trt[train]'" in rows["torch"]
    for part in ("driver", "GPU", "nvcc", "cmake", "c++", "NvInfer.h", "plugin"):
        assert part in rows


def test_what_is_missing_comes_with_its_command(
    capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    monkeypatch.setenv("PATH", str(tmp_path))
    monkeypatch.setenv("TENSORRT_ROOT", str(tmp_path))
    monkeypatch.setattr("sys.executable", str(tmp_path / "python"))
    monkeypatch.setattr("lc_trt.trt.plugin_library.HOME", tmp_path)
    assert main(["doctor"]) == 0
    rows = {line.split()[0]: line for line in capsys.readouterr().out.splitlines() if line.strip()}
    for part, command in (
        ("driver", "apt-get install nvidia-open"),
        ("nvcc", "apt-get install cuda-nvcc-13-0"),
        ("cmake", "pip install cmake"),
        ("c++", "apt-get install g++"),
        ("NvInfer.h", "pip install --no-deps kernel-lens==2.0.1"),
        ("plugin", "lc-trt plugin build"),
    ):
        assert ("missing" in rows[part] or "not built" in rows[part]) and command in rows[part]


def test_the_plugin_library_is_shown(
    capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    monkeypatch.setattr("lc_trt.trt.plugin_library.HOME", tmp_path)
    (tmp_path / FILE).write_bytes(library_bytes(version=7))
    assert main(["doctor"]) == 0
    shown = " ".join(capsys.readouterr().out.split())
    assert "version 7 sm_89, compute_120" in shown
    assert "this lc-trt needs version 1: lc-trt plugin build" in shown
    assert main(["doctor", "--json"]) == 0
    found = json.loads(capsys.readouterr().out)["plugin"]
    assert found["version"] == "7" and found["path"] == FILE
    (tmp_path / FILE).write_bytes(b"no library")
    assert main(["doctor"]) == 0
    assert "is no plugin library of lc-trt" in " ".join(capsys.readouterr().out.split())


def test_json_and_exit_code_when_a_needed_package_is_missing(
    capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setitem(sys.modules, "onnx", None)
    assert main(["doctor", "--json"]) == 1
    found = {p["module"]: p for p in json.loads(capsys.readouterr().out)["packages"]}
    assert found["onnx"]["version"] is None
    assert found["numpy"]["version"] is not None
