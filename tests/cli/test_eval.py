"""`lc-trt eval`."""

from __future__ import annotations

import json
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
    assert found == {
        "images": 2,
        # Sky: none found. Road: all. Car: half of what was found is right.
        "iou": {"sky": 0, "road": 1, "car": 0.5, "tree": None},
        "miou": 0.5,
        "pixel_accuracy": 0.75,
        "shares": [0.5, 0.5, 0],
    }


def test_table(bundle: Path, data: Path, capsys: pytest.CaptureFixture[str]) -> None:
    assert main(["-q", "eval", str(bundle), "--data", str(data)]) == 0
    shown = capsys.readouterr().out
    assert "absent" in shown
    assert "mIoU 50.00 %, pixel accuracy 75.00 %, 2 images" in shown
    assert "50/50/0 % left at stages 1/2/3" in shown


def test_thresholds(bundle: Path, data: Path, capsys: pytest.CaptureFixture[str]) -> None:
    assert main(["-q", "eval", str(bundle), "--data", str(data), "--rho", "1", "--json"]) == 0
    assert json.loads(capsys.readouterr().out)["shares"] == [0, 0, 1]


def test_a_dense_engine(data: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    bundle = toy_bundle(tmp_path / "dense.lct", "dense").path
    assert main(["-q", "eval", str(bundle), "--data", str(data), "--json"]) == 0
    found = json.loads(capsys.readouterr().out)
    assert (found["shares"], found["miou"]) == (None, 0.5)


@pytest.mark.parametrize(
    ("words", "code", "line"),
    [
        (["--rho", "2"], 2, "rho 2"),
        (["--split", "test"], 1, "no such folder; expected ROOT/test/images and /labels"),
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


def test_unlabelled_images(bundle: Path, data: Path, capsys: pytest.CaptureFixture[str]) -> None:
    for path in (data / "val" / "labels").iterdir():
        cv2.imwrite(str(path), np.full(SIZE, 255, np.uint8))
    assert main(["-q", "eval", str(bundle), "--data", str(data)]) == 1
    assert "no labelled pixel in 2 images" in capsys.readouterr().err
