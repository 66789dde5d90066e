"""`lc-trt doctor`."""

from __future__ import annotations

import json
from dataclasses import replace

import pytest

import lc_trt
from lc_trt.cli import doctor
from lc_trt.cli.app import main
from lc_trt.environment import describe


def test_table_names_versions_and_what_is_missing(
    capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    machine = describe()
    without = tuple(
        replace(p, version=None) if p.module == "torch" else p for p in machine.packages
    )
    monkeypatch.setattr(doctor, "describe", lambda: replace(machine, packages=without))
    assert main(["doctor"]) == 0
    rows = {line.split()[0]: line for line in capsys.readouterr().out.splitlines() if line.strip()}
    assert lc_trt.__version__ in rows["lc-trt"]
    assert "missing" in rows["torch"]
    assert "pip install 'lc-trt[train]'" in rows["torch"]
    assert "no TensorRT backend" in rows["plugin"]


def test_json_and_exit_code_when_a_needed_package_is_missing(
    capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    machine = describe()
    without = tuple(replace(p, version=None) if p.module == "onnx" else p for p in machine.packages)
    monkeypatch.setattr(doctor, "describe", lambda: replace(machine, packages=without))
    assert main(["doctor", "--json"]) == 1
    found = {p["module"]: p for p in json.loads(capsys.readouterr().out)["packages"]}
    assert found["onnx"]["version"] is None
    assert found["numpy"]["version"] is not None
