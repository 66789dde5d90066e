"""`lc-trt build --int8`, after `calibrate`, as a person types them."""

from __future__ import annotations

import json
from pathlib import Path

import onnx
import pytest
from failing_commands import failure
from int8_cases import image_folder
from tiny_networks import tiny_model

from lc_trt.cli.app import main


@pytest.fixture(scope="module")
def root(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A folder with a network and images."""
    folder = tmp_path_factory.mktemp("int8")
    onnx.save(tiny_model(), folder / "model.onnx")
    image_folder(folder / "images", 4)
    return folder


def test_a_calibrated_network_is_built(
    root: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    model, table, bundle = root / "model.onnx", tmp_path / "t.json", tmp_path / "int8.lct"
    calibrate = ["calibrate", model, "--images", root / "images", "--method", "minmax", "-o", table]
    assert main(list(map(str, calibrate))) == 0
    capsys.readouterr()
    build = ["build", model, "-o", bundle, "--int8", "--calib", table]
    assert main([*map(str, build), "--min-agreement", "10", "--keep", "stage1,head1"]) == 0
    shown = capsys.readouterr().out
    assert ", int8\n" in shown and "of stages" in shown
    manifest = json.loads((bundle / "manifest.json").read_text())
    assert manifest["calibration"]["int8"]["excluded"][0]["layers"] == ["head1", "stage1"]


@pytest.mark.parametrize(
    ("options", "code", "message"),
    [
        (["--int8"], 2, "INT8 needs images or a table"),
        (["--calib", "images"], 2, "--calib belongs to --int8 and --fp16"),
        (["--fp16", "--keep", "head1"], 2, "--keep, --max-drop"),
        (["--bf16", "--fp16"], 2, "--fp16 and --bf16: expected one"),
        (["--int8", "--calib", "images", "--max-drop", "1"], 2, "--max-drop needs --eval-root"),
        (["--int8", "--calib", "."], 1, "no images in it"),
    ],
)
def test_errors_are_one_line_and_write_nothing(
    root: Path,
    monkeypatch: pytest.MonkeyPatch,
    capsys: pytest.CaptureFixture[str],
    options: list[str],
    code: int,
    message: str,
) -> None:
    monkeypatch.chdir(root)
    found, line = failure(capsys, "build", "model.onnx", *options)
    assert (found, message in line) == (code, True), line
    assert sorted(path.name for path in root.iterdir()) == ["images", "model.onnx"]
