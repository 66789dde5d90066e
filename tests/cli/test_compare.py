"""`lc-trt compare`."""

from __future__ import annotations

import json
from dataclasses import replace
from pathlib import Path

import cv2
import onnx
import pytest
from failing_commands import failure
from int8_cases import image_folder
from tiny_networks import tiny_model
from toy_models import bgr, toy_manifest, toy_model

from lc_trt.bundle.bundle import MODEL, SOURCE, write_bundle
from lc_trt.cli.app import main


@pytest.fixture(scope="module")
def root(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Two networks of random weights, one form of head each, and images."""
    folder = tmp_path_factory.mktemp("compare")
    for form in ("plain", "aspp"):
        onnx.save(tiny_model(form=form), folder / f"{form}.onnx")
    image_folder(folder / "images", 2)
    return folder


def test_a_model_agrees_with_itself_and_not_with_another(
    root: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    picture = tmp_path / "worst.png"
    words = ["--images", str(root / "images"), "--save", str(picture)]
    one, other = str(root / "plain.onnx"), str(root / "aspp.onnx")
    assert main(["compare", one, one, *words, "--json"]) == 0
    same = json.loads(capsys.readouterr().out)
    assert (same["images"], same["labels"], same["stages"]) == (2, 1, 1)
    assert main(["compare", one, other, *words, "--json"]) == 0
    shown = capsys.readouterr()
    different = json.loads(shown.out)
    assert different["images"] == 2 and 0 < different["labels"] < 0.9
    assert (
        shown.err
        == f"wrote {picture}: {different['worst']['image']}, the image they agree on least\n"
    )
    # The image, and what either made of it.
    assert cv2.imread(str(picture)).shape == (48, 3 * 72, 3)


def test_too_little_agreement_is_1_after_the_table(
    root: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    words = ["--images", str(root / "images"), "--save", str(tmp_path / "worst.png")]
    pair = [str(root / "plain.onnx"), str(root / "aspp.onnx")]
    assert main(["compare", *pair, *words, "--min-agreement", "95"]) == 1
    shown = capsys.readouterr()
    assert "largest probability difference" in shown.out
    assert shown.err.splitlines()[-1].startswith("error: ")
    assert shown.err.endswith("expected 95 % of both\n")
    assert main(["compare", pair[0], pair[0], *words, "--min-agreement", "100"]) == 0


def test_thresholds_are_those_of_the_first_model(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    content, manifest = toy_model(), toy_manifest(backend="onnxruntime")
    for name, rho in (("a", 0.6), ("b", 0.5)):
        files = {MODEL: content, SOURCE: content}
        write_bundle(tmp_path / f"{name}.lct", replace(manifest, default_rho=(rho, rho)), files)
    (tmp_path / "images").mkdir()
    # Confidence 0.55 at stage 1 and none at stage 2.
    cv2.imwrite(str(tmp_path / "images" / "a.png"), bgr(140, 0, 64))
    words = ["--images", str(tmp_path / "images"), "--save", str(tmp_path / "worst.png"), "--json"]

    def shares(*order: str, options: tuple[str, ...] = ()) -> list[list[float]]:
        bundles = [str(tmp_path / f"{name}.lct") for name in order]
        assert main(["compare", *bundles, *words, *options]) == 0
        found: list[list[float]] = json.loads(capsys.readouterr().out)["shares"]
        return found

    assert shares("a", "b") == [[0, 0, 1]] * 2
    assert shares("b", "a") == [[1, 0, 0]] * 2
    assert shares("b", "a", options=("--rho", "0.6")) == [[0, 0, 1]] * 2


@pytest.mark.parametrize(
    ("changed", "code", "message"),
    [
        (["--save", "x.doc"], 2, "--save x.doc"),
        (["--images", "none"], 1, "none"),
        (["--rho", "2"], 2, "rho 2"),
        (["--size", "big"], 2, "--size 'big'"),
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
    model = root / "plain.onnx"
    found, line = failure(capsys, "compare", model, model, "--images", root / "images", *changed)
    assert (found, message in line) == (code, True), line
    found, line = failure(capsys, "compare", model, "no.lct", "--images", root / "images")
    assert (found, "no.lct: no such file" in line) == (1, True), line
    assert list(tmp_path.iterdir()) == []
