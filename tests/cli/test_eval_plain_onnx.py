"""`lc-trt eval` and `compare` read a plain ONNX as a build does."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import onnx
import pytest
from channel_network import CLASSES, OPTIONS, write_data, write_network
from tiny_networks import tiny_model

from lc_trt.cli.app import main

SIZE = ("--size", "48x64")


@pytest.fixture(scope="module")
def root(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A plain ONNX that takes BGR, labelled images, and its bundles with and without options."""
    root = tmp_path_factory.mktemp("plain")
    network, images = str(write_network(root / "x.onnx")), str(write_data(root) / "val" / "images")
    for name, options in (("right", OPTIONS), ("default", ())):
        words = ["build", network, *SIZE, *options, "--check-images", images]
        words += ["--classes", str(CLASSES), "--backend", "onnxruntime"]
        assert main(["-q", *words, "-o", str(root / f"{name}.lct")]) == 0
    return root


def read(capsys: pytest.CaptureFixture[str], *words: str | Path) -> dict[str, Any]:
    """What a subcommand prints with --json."""
    capsys.readouterr()
    assert main(["-q", *map(str, words), "--json"]) == 0
    printed: dict[str, Any] = json.loads(capsys.readouterr().out)
    return printed


def test_eval_of_the_onnx_is_eval_of_its_bundle(
    root: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    figures = {}
    for name, options in (("right", OPTIONS), ("default", ())):
        plain = read(capsys, "eval", root / "x.onnx", "--data", root, *SIZE, *options)
        bundle = read(capsys, "eval", root / f"{name}.lct", "--data", root)
        for figure in ("iou", "miou", "pixel_accuracy", "size"):
            assert plain[figure] == bundle[figure]
        figures[name] = plain
    assert figures["right"]["miou"] == 1
    assert figures["default"]["miou"] < 0.8
    assert figures["right"]["command"] == (
        f"lc-trt -q eval x.onnx --data {root.name} --size 48x64 --bgr --mean 40.25,100.5,190.75 "
        "--std 20,60,110 --json"
    )


def test_each_option_counts(root: Path, capsys: pytest.CaptureFixture[str]) -> None:
    words = ("eval", root / "x.onnx", "--data", root, *SIZE)
    bgr, mean, std = OPTIONS[:1], OPTIONS[1:3], OPTIONS[3:]
    for options in ((*bgr, *mean), (*bgr, *std), (*mean, *std)):
        assert read(capsys, *words, *options)["miou"] < 1


def test_compare_of_the_onnx_with_its_bundle(
    root: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    words = ["--images", root / "val" / "images", "--save", tmp_path / "worst.png", *SIZE]
    pair = ["compare", root / "x.onnx", root / "right.lct", *words]
    assert read(capsys, *pair, *OPTIONS)["labels"] == 1
    assert read(capsys, *pair)["labels"] < 1
    # The options are those of every plain ONNX among the two.
    twice = ["compare", root / "x.onnx", root / "x.onnx", *words]
    assert read(capsys, *twice, *OPTIONS)["labels"] == 1


def failure(capsys: pytest.CaptureFixture[str], *words: str | Path) -> str:
    """The one line of a wrong usage."""
    capsys.readouterr()
    assert main(list(map(str, words))) == 2
    shown = capsys.readouterr().err
    assert shown.startswith("error: ") and shown.count("\n") == 1
    return shown


@pytest.mark.parametrize("option", [["--bgr"], ["--mean", "1,2,3"], ["--std", "1,2,3"]])
def test_a_model_that_normalises_itself_refuses_them(
    root: Path, tmp_path: Path, option: list[str], capsys: pytest.CaptureFixture[str]
) -> None:
    onnx.save(tiny_model(), tmp_path / "own.onnx")
    own, bundle = tmp_path / "own.onnx", root / "right.lct"
    for model, line in (
        (own, "own.onnx: normalises inside its graph; omit --mean, --std, --bgr"),
        (bundle, "right.lct: is a bundle, with its own classes and normalisation"),
    ):
        assert line in failure(capsys, "eval", model, "--data", root, *option)
    images = ["--images", root / "val" / "images"]
    shown = failure(capsys, "compare", own, bundle, *images, *option)
    assert "is a plain ONNX: both know their classes and normalisation" in shown


def test_a_size_or_classes_of_another_model_are_refused(
    root: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    bundle, images = root / "right.lct", ["--images", root / "val" / "images"]
    shown = failure(capsys, "compare", bundle, bundle, *images, *SIZE)
    assert "--size: " in shown and "have their own; leave it out" in shown
    shown = failure(capsys, "eval", bundle, "--data", root, "--classes", "camvid")
    assert "omit --classes" in shown
    (tmp_path / "best.safetensors").write_bytes(b"")
    shown = failure(capsys, "eval", tmp_path / "best.safetensors", "--data", root, "--bgr")
    assert "best.safetensors: is a checkpoint" in shown
