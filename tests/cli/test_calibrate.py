"""`lc-trt calibrate`."""

from __future__ import annotations

import json
from pathlib import Path

import onnx
import pytest
from channel_network import OPTIONS, write_data, write_network
from failing_commands import failure
from int8_cases import image_folder
from tiny_networks import tiny_model

from lc_trt.cli.app import main


@pytest.fixture(scope="module")
def root(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A folder with a network and images."""
    folder = tmp_path_factory.mktemp("calibrate")
    onnx.save(tiny_model(), folder / "model.onnx")
    image_folder(folder / "images", 4)
    return folder


def test_the_table_is_written_and_summed_up(
    root: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    table = tmp_path / "t.json"
    words = ["calibrate", str(root / "model.onnx"), "--images", str(root / "images")]
    words += ["--method", "minmax", "-o", str(table)]
    assert main(words) == 0
    shown = capsys.readouterr()
    tensors = json.loads(table.read_text())["tensors"]
    assert shown.out == f"{table}: {len(tensors)} tensors of tiny, minmax, 4 images\n"
    assert "warning: 4 calibration images" in shown.err
    assert list(tmp_path.iterdir()) == [table], "nothing to resume from is left"
    assert main([*words, "--limit", "3", "--json"]) == 0
    assert json.loads(capsys.readouterr().out)["images"] == 3


def test_a_plain_onnx_is_calibrated_on_what_it_sees(tmp_path: Path) -> None:
    network = str(write_network(tmp_path / "x.onnx"))
    images = str(write_data(tmp_path) / "val" / "images")
    words = ["-q", "calibrate", network, "--images", images, "--size", "48x64", "--classes", "3"]
    ranges = []
    for name, options in (("right", OPTIONS), ("default", ())):
        table = tmp_path / f"{name}.json"
        assert main([*words, "-o", str(table), "--method", "minmax", *options]) == 0
        ranges.append(json.loads(table.read_text())["tensors"])
    assert ranges[0] and ranges[0] != ranges[1]


@pytest.mark.parametrize(
    ("changed", "code", "message"),
    [
        (["--images", "none"], 1, "no such folder"),
        (["--method", "x"], 2, "unknown method 'x'"),
        (["-o", "none/table.json"], 1, "choose"),
        (["--limit", "0"], 2, "'--limit'"),
        (["--rho", "2"], 2, "--rho"),
    ],
)
def test_errors_are_one_line_and_write_nothing(
    root: Path,
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
    capsys: pytest.CaptureFixture[str],
    changed: list[str],
    code: int,
    message: str,
) -> None:
    monkeypatch.chdir(tmp_path)
    words = ["calibrate", root / "model.onnx", "--images", root / "images", *changed]
    found, line = failure(capsys, *words)
    assert (found, message in line) == (code, True), line
    assert list(tmp_path.iterdir()) == []
