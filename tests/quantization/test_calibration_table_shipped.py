"""The tables in calib/ belong to the shipped models and are reproduced by their recipe."""

from __future__ import annotations

import pytest

from lc_trt.compiler.frontend.read_onnx import load_onnx
from lc_trt.data.images import list_images
from lc_trt.ir.metadata import read_info
from lc_trt.quantization.calibrate import calibrate
from lc_trt.quantization.calibration_table import check_table, read_table
from lc_trt.quantization.options import CalibrationOptions

NAMES = ("irnet-small-camvid", "lite2-camvid")


@pytest.fixture(params=NAMES)
def shipped(repository, request):
    """A table and its network."""
    path = repository / "models" / request.param / "model.onnx"
    return read_table(repository / "calib" / f"{request.param}.json"), load_onnx(path)


def test_every_shipped_network_has_a_table(repository):
    assert {p.stem for p in (repository / "calib").glob("*.json")} == set(NAMES)
    assert {p.parent.name for p in (repository / "models").glob("*/model.onnx")} == set(NAMES)


def test_the_table_is_the_shipped_models(shipped):
    table, model = shipped
    check_table(table, model, "its table")
    assert table.images == 100 and table.rho == read_info(model).default_rho
    assert all(t.smallest <= t.low <= 0 <= t.high <= t.largest for t in table.tensors)


@pytest.mark.data
@pytest.mark.slow
def test_the_recipe_reproduces_the_table(shipped, camvid):
    table, model = shipped
    images = list_images(camvid / "train" / "images").subset(table.images)
    assert images.digest == table.images_sha256
    again = calibrate(model, read_info(model), images, CalibrationOptions(table.method))
    # Another processor may round sums differently, so that a value falls into the next bin.
    for tensor, expected in zip(again.tensors, table.tensors, strict=True):
        assert tensor.name == expected.name and tensor.made_by == expected.made_by
        assert tensor.high == pytest.approx(expected.high, rel=0.02)
        assert tensor.low == pytest.approx(expected.low, rel=0.02)
