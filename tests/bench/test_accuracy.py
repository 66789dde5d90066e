"""Measured accuracies, looked up by network and thresholds."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import pytest

from lc_trt.bench import accuracy
from lc_trt.bench.accuracy import Accuracies, Accuracy
from lc_trt.errors import LcTrtError, UsageError


def write(folder: Path, name: str, **changes: Any) -> None:
    """A result of `lc-trt eval --json`, as far as it is read."""
    result = {
        "model": "small", "size": [360, 480], "rho": None, "data": "camvid val", "miou": 0.5,
        "sweep": None, **changes,
    }  # fmt: skip
    (folder / f"eval-{name}.json").write_text(json.dumps(result))


def test_a_result_and_its_sweep_are_found_by_thresholds(tmp_path: Path) -> None:
    sweep = [{"rho": [1.0, 1.0], "miou": 0.7}, {"rho": [0.8, 0.8], "miou": 0.6}]
    write(tmp_path, "a", rho=[0.9, 0.85], miou=0.65, sweep=sweep)
    write(tmp_path, "b", model="dense", miou=0.4)
    found = Accuracies(tmp_path)
    expected = Accuracy(0.65, "camvid val", (360, 480), "eval-a.json")
    assert found.find("small", (0.9, 0.85)) == expected
    # Engines take float32.
    assert found.find("small", (0.8999999761581421, 0.8500000238418579)) == expected
    assert [found.find("small", (r, r)).miou for r in (1.0, 0.8)] == [0.7, 0.6]  # type: ignore[union-attr]
    assert found.find("dense", None).miou == 0.4  # type: ignore[union-attr]
    assert found.find("small", None) is found.find("dense", (1, 1)) is found.find("x", None) is None


def test_the_training_is_told_where_the_result_has_it(tmp_path: Path) -> None:
    write(tmp_path, "a", training={"epochs": 56, "pretraining": None})
    write(tmp_path, "b", model="other", training={"epochs": 3, "pretraining": "a.safetensors"})
    write(tmp_path, "c", model="third")
    protocols = [
        Accuracies(tmp_path).find(name, None).protocol  # type: ignore[union-attr]
        for name in ("small", "other", "third")
    ]
    assert protocols == [
        "camvid val, 360x480, 56 epochs from random weights",
        "camvid val, 360x480, 3 epochs pre-trained: a.safetensors",
        "camvid val, 360x480",
    ]


def test_the_sweep_may_hold_the_point_itself(tmp_path: Path) -> None:
    write(tmp_path, "a", rho=[0.8, 0.8], miou=0.6, sweep=[{"rho": [0.8, 0.8], "miou": 0.6}])
    assert Accuracies(tmp_path).find("small", (0.8, 0.8)) is not None


def test_two_networks_of_one_name_are_not_confused(tmp_path: Path) -> None:
    write(tmp_path, "a", rho=[0.9, 0.9])
    write(tmp_path, "b", rho=[0.9, 0.9], miou=0.6)
    write(tmp_path, "c", rho=[0.8, 0.8])
    assert Accuracies(tmp_path).find("small", (0.9, 0.9)) is None
    assert Accuracies(tmp_path).find("small", (0.8, 0.8)) is not None


def test_an_installed_package_has_no_results(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(accuracy, "RESULTS", tmp_path / "none")
    assert Accuracies().find("pidnet-s", None) is None
    with pytest.raises(UsageError, match=r"--accuracy .*none: no such folder; expected one with"):
        Accuracies(tmp_path / "none")


def test_the_results_of_the_checkout_are_readable() -> None:
    assert accuracy.RESULTS.is_dir() and list(accuracy.RESULTS.glob(accuracy.PATTERN))
    Accuracies()


@pytest.mark.parametrize("text", ["no json", "[]", "{}", '{"model": "m", "rho": 3}'])
def test_another_file_is_a_one_line_error(tmp_path: Path, text: str) -> None:
    (tmp_path / "eval-x.json").write_text(text)
    with pytest.raises(LcTrtError, match=r"eval-x.json: no result of 'lc-trt eval --json'") as info:
        Accuracies(tmp_path)
    assert "\n" not in str(info.value)
