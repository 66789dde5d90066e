"""`lc-trt calibrate`, `build --int8` and `compare`, one after the other as a person types them."""

from __future__ import annotations

import json

import cv2
import onnx
import pytest
from int8_cases import image_folder
from tiny_networks import tiny_model

from lc_trt.cli import app


@pytest.fixture(scope="module")
def root(tmp_path_factory):
    folder = tmp_path_factory.mktemp("cli")
    onnx.save(tiny_model(), folder / "model.onnx")
    image_folder(folder / "images", 4)
    return folder


def lc_trt(*arguments):
    return app.main([str(a) for a in arguments])


def failure(capsys, *arguments):
    """Exit code and the last line on stderr."""
    capsys.readouterr()
    code = lc_trt(*arguments)
    captured = capsys.readouterr()
    assert captured.out == ""
    line = captured.err.strip().splitlines()[-1]
    assert line.startswith("error: ")
    return code, line


def test_calibrate_build_compare(root, tmp_path, capsys):
    model, table = root / "model.onnx", tmp_path / "t.json"
    calibrate = ["calibrate", model, "--images", root / "images", "--method", "minmax"]
    assert lc_trt(*calibrate, "-o", table) == 0
    captured = capsys.readouterr()
    assert "tensors of tiny, minmax, 4 images" in captured.out
    assert "warning: 4 calibration images" in captured.err
    assert [p.name for p in tmp_path.iterdir()] == ["t.json"]
    assert lc_trt(*calibrate, "-o", table, "--limit", 3, "--json") == 0
    assert json.loads(capsys.readouterr().out)["images"] == 3

    int8 = tmp_path / "int8.lct"
    options = ["--int8", "--calib", table, "--min-agreement", 10]
    assert lc_trt("build", model, "-o", int8, *options, "--keep", "stage1,head1") == 0
    shown = capsys.readouterr().out
    assert ", int8\n" in shown and "of stages" in shown
    manifest = json.loads((int8 / "manifest.json").read_text())
    assert manifest["calibration"]["int8"]["excluded"][0]["layers"] == ["head1", "stage1"]

    picture = tmp_path / "worst.png"
    compare = ["compare", model, int8, "--images", root / "images", "--save", picture]
    assert lc_trt(*compare, "--json") == 0
    found = json.loads(capsys.readouterr().out)
    assert found["images"] == 4 and 0 < found["labels"] <= 1
    assert cv2.imread(str(picture)).shape == (48, 3 * 72, 3)
    assert lc_trt(*compare) == 0
    assert "largest probability difference" in capsys.readouterr().out
    assert lc_trt(*compare, "--min-agreement", 100.1) == 1
    captured = capsys.readouterr()
    assert "largest probability difference" in captured.out  # what was found is shown all the same
    assert "expected 100.1 % of both" in captured.err.splitlines()[-1]


def test_what_is_asked_for_wrongly_is_one_line(root, tmp_path, capsys):
    model, images, out = root / "model.onnx", root / "images", tmp_path / "m.lct"
    cases = [
        (["build", model, "-o", out, "--int8"], 2, "INT8 needs images or a table"),
        (["build", model, "-o", out, "--calib", images], 2, "--calib belongs to --int8 and --fp16"),
        (["build", model, "-o", out, "--fp16", "--keep", "head1"], 2, "--keep, --max-drop"),
        (["build", model, "-o", out, "--bf16", "--fp16"], 2, "--fp16 and --bf16: expected one"),
        (
            ["build", model, "-o", out, "--int8", "--calib", images, "--max-drop", 1],
            2, "--max-drop needs --eval-root",
        ),
        (["build", model, "-o", out, "--int8", "--calib", tmp_path], 1, "no images in it"),
        (["calibrate", model, "--images", tmp_path / "no"], 1, "no such folder"),
        (["calibrate", model, "--images", images, "--method", "x"], 2, "unknown method 'x'"),
        (["calibrate", model, "--images", images, "-o", tmp_path / "a/b.json"], 1, "choose"),
        (["compare", model, model, "--images", images, "--save", "x.doc"], 2, "--save x.doc"),
        (["compare", model, tmp_path / "no.lct", "--images", images], 1, "no such file"),
    ]  # fmt: skip
    for arguments, expected, message in cases:
        code, line = failure(capsys, *arguments)
        assert (code, message in line) == (expected, True), line
    assert not list(tmp_path.iterdir())
