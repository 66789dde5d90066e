"""`lc-trt eval`."""

from __future__ import annotations

import json
import sys
from pathlib import Path

import cv2
import numpy as np
import pytest
from toy_models import SIZE, bgr, toy_bundle

from lc_trt.cli.app import main


@pytest.fixture
def data(tmp_path: Path) -> Path:
    """Two pictures of one colour; half of the second one's labels differ from the toy's answer."""
    root = tmp_path / "data"
    for kind in ("images", "labels"):
        (root / "val" / kind).mkdir(parents=True)
    # The toy says red // 64: road (1), then car (2). Blue 255 leaves at stage 1, 0 does not.
    for name, picture, label in (("a", bgr(255, 0, 64), 1), ("b", bgr(0, 255, 128), 2)):
        labels = np.full(SIZE, label, np.uint8)
        if name == "b":
            labels[:, : SIZE[1] // 2] = 0
        labels[0] = 255
        cv2.imwrite(str(root / "val" / "images" / f"{name}.png"), picture)
        cv2.imwrite(str(root / "val" / "labels" / f"{name}.png"), labels)
    return root


@pytest.fixture
def bundle(tmp_path: Path) -> Path:
    return toy_bundle(tmp_path / "toy.lct").path


def test_json(bundle: Path, data: Path, capsys: pytest.CaptureFixture[str]) -> None:
    assert main(["-q", "eval", str(bundle), "--data", str(data), "--json"]) == 0
    found = json.loads(capsys.readouterr().out)
    assert found.pop("ms_per_image") > 0
    assert found.pop("backend").startswith("openvino ")
    assert found.pop("environment")["threads"] > 0
    command = found.pop("command")
    # It names no folder of this machine.
    assert command == "lc-trt -q eval toy.lct --data data --json"
    assert found == {
        "model": "toy",
        "size": list(SIZE),
        "rho": [0.9, 0.8],
        "data": "data val",
        "images": 2,
        # Sky: none found. Road: all. Car: half of what was found is right.
        "iou": {"sky": 0, "road": 1, "car": 0.5, "tree": None},
        "miou": 0.5,
        "pixel_accuracy": 0.75,
        "shares": [0.5, 0.5, 0],
        # Sky's pixels are all in the second image, which left at stage 2.
        "left_by_class": {"sky": [0, 1, 0], "road": [1, 0, 0], "car": [0, 1, 0], "tree": None},
        "near_boundary": [0, 0.1, None],  # 6 of 60 columns
        "sweep": None,
    }


def test_table(bundle: Path, data: Path, capsys: pytest.CaptureFixture[str]) -> None:
    assert main(["-q", "eval", str(bundle), "--data", str(data)]) == 0
    shown = capsys.readouterr().out
    assert "absent" in shown
    assert "mIoU 50.00 %, pixel accuracy 75.00 %, 2 images" in shown
    assert "50/50/0 % left at stages 1/2/3" in shown
    assert "Exit shares per class" in shown
    assert "Difficulty at boundaries" in shown
    assert "One threshold" not in shown


def test_thresholds(bundle: Path, data: Path, capsys: pytest.CaptureFixture[str]) -> None:
    assert main(["-q", "eval", str(bundle), "--data", str(data), "--rho", "1", "--json"]) == 0
    assert json.loads(capsys.readouterr().out)["shares"] == [0, 0, 1]


def test_sweep(bundle: Path, data: Path, capsys: pytest.CaptureFixture[str]) -> None:
    assert main(["-q", "eval", str(bundle), "--data", str(data), "--rho-sweep"]) == 0
    shown = capsys.readouterr().out
    assert "One threshold at both boundaries" in shown
    assert "73.91" in shown, "the published column"
    assert "Two thresholds" not in shown
    words = ["-q", "eval", str(bundle), "--data", str(data), "--grid", "--json", "--limit", "1"]
    assert main(words) == 0
    found = json.loads(capsys.readouterr().out)
    assert found["images"] == 1
    assert found["command"].endswith("--grid --json --limit 1")
    by_rho = {tuple(point["rho"]): point for point in found["sweep"]}
    assert len(by_rho) == 64
    # Its confidence at stage 1 is 1: it leaves there unless the threshold is 1.
    assert by_rho[1, 0.8]["shares"] == [0, 0, 1]
    assert by_rho[0.995, 0.8]["shares"] == [1, 0, 0]
    assert by_rho[0.995, 0.8]["miou"] == 1


def test_grid_is_shown(bundle: Path, data: Path, capsys: pytest.CaptureFixture[str]) -> None:
    words = ["-q", "eval", str(bundle), "--data", str(data), "--grid", "--limit", "1"]
    assert main(words) == 0
    shown = capsys.readouterr().out
    assert "Two thresholds: mIoU % / ms per image" in shown
    assert "Pareto front of time and mIoU" in shown


def test_writing_a_report(
    bundle: Path, data: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    out = tmp_path / "report"
    words = ["eval", str(bundle), "--data", str(data), "--rho-sweep", "--report", str(out)]
    assert main([*words, "--json"]) == 0
    shown = capsys.readouterr()
    assert json.loads(shown.out) == json.loads((out / "evaluation.json").read_text())
    assert shown.err == (
        "warning: 2 images are too few to compare times; use at least 20\n"
        f"wrote {out / 'index.html'}\n"
    )
    page = (out / "index.html").read_text()
    assert page.count("data:image/png;base64,") == 3 + 2
    assert "lc-trt eval toy.lct --data data --rho-sweep --report report" in page


def test_a_report_that_cannot_be_written_costs_no_work(
    bundle: Path, data: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    words = ["-q", "eval", str(bundle), "--data", str(data), "--report", str(data)]
    assert main(words) == 1
    shown = capsys.readouterr()
    assert shown.out == ""
    assert "holds other files and no evaluation.json" in shown.err
    assert shown.err.count("\n") == 1


def test_a_dense_engine(data: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    bundle = toy_bundle(tmp_path / "dense.lct", "dense").path
    assert main(["-q", "eval", str(bundle), "--data", str(data), "--json"]) == 0
    found = json.loads(capsys.readouterr().out)
    assert (found["shares"], found["miou"]) == (None, 0.5)
    assert (found["rho"], found["left_by_class"], found["near_boundary"]) == (None, None, None)
    for option in ("--rho-sweep", "--grid"):
        assert main(["-q", "eval", str(bundle), "--data", str(data), option]) == 2
        shown = capsys.readouterr().err
        assert "a dense network has no thresholds; omit --rho-sweep and --grid" in shown
        assert shown.count("\n") == 1


@pytest.mark.parametrize(
    ("words", "code", "line"),
    [
        (["--rho", "2"], 2, "rho 2"),
        (["--split", "test"], 1, "no split 'test' there"),
        (["--layout", "voc"], 2, "classes '4 classes': 4 classes, expected 21 for layout voc"),
        (["--layout", "coco"], 2, "unknown layout 'coco'"),
        (["--size", "64x64"], 2, "--size 64x64:"),
        (["--size", "big"], 2, "--size 'big': expected HxW"),
        (["--limit", "0"], 2, "--limit"),
    ],
)
def test_errors_are_one_line(
    words: list[str],
    code: int,
    line: str,
    bundle: Path,
    data: Path,
    capsys: pytest.CaptureFixture[str],
) -> None:
    assert main(["-q", "eval", str(bundle), "--data", str(data), *words]) == code
    shown = capsys.readouterr().err
    assert line in shown
    assert shown.count("\n") == 1


@pytest.mark.parametrize("name", ["nowhere.lct", "weights.pth"])
def test_no_model(
    name: str, data: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    (tmp_path / "weights.pth").write_bytes(b"")
    assert main(["-q", "eval", str(tmp_path / name), "--data", str(data)]) == 1
    shown = capsys.readouterr().err
    assert "expected a checkpoint (.safetensors), an ONNX" in shown
    assert shown.count("\n") == 1


def test_a_checkpoint_needs_torch(
    data: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.setitem(sys.modules, "torch", None)
    (tmp_path / "best.safetensors").write_bytes(b"")
    words = ["-q", "eval", str(tmp_path / "best.safetensors"), "--data", str(data)]
    assert main(words) == 1
    assert capsys.readouterr().err == (
        "error: the package torch is not installed: pip install 'lc-trt[train]'\n"
    )


def test_a_report_needs_its_packages(
    bundle: Path,
    data: Path,
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
    capsys: pytest.CaptureFixture[str],
) -> None:
    monkeypatch.setitem(sys.modules, "matplotlib", None)
    words = ["-q", "eval", str(bundle), "--data", str(data), "--report", str(tmp_path / "r")]
    assert main(words) == 1
    assert capsys.readouterr().err == (
        "error: --report needs matplotlib, which is not installed: pip install 'lc-trt[report]'\n"
    )


def test_a_checkpoint_of_something_else(
    data: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    path = tmp_path / "best.safetensors"
    path.write_bytes(b"no tensors")
    assert main(["-q", "eval", str(path), "--data", str(data)]) == 1
    shown = capsys.readouterr().err
    assert "best.safetensors: not a safetensors file" in shown
    assert shown.count("\n") == 1


def test_unlabelled_images(bundle: Path, data: Path, capsys: pytest.CaptureFixture[str]) -> None:
    for path in (data / "val" / "labels").iterdir():
        cv2.imwrite(str(path), np.full(SIZE, 255, np.uint8))
    assert main(["-q", "eval", str(bundle), "--data", str(data)]) == 1
    assert "no labelled pixel in 2 images" in capsys.readouterr().err
