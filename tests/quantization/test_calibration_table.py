"""Calibration tables: round trip through JSON, and rejection of invalid and foreign ones."""

from __future__ import annotations

import json
from dataclasses import replace

import onnx
import pytest
from onnx import numpy_helper
from tiny_encoder import tiny_encoder_cascade
from tiny_networks import INFO, MEAN, STD, tiny_encoder_model, tiny_model

from lc_trt.errors import LcTrtError
from lc_trt.ir.export import export_cascade
from lc_trt.quantization.calibration_table import (
    CalibrationTable,
    TensorRange,
    check_table,
    origins,
    read_table,
    write_table,
)


def table_of(model):
    made_by = origins(model)
    tensors = tuple(TensorRange(n, 0.0, 1.5, -0.25, 2.0, 99, v) for n, v in made_by.items())
    return CalibrationTable(
        "tiny", "0" * 64, "percentile", 99.9, 12, ("bad.png",), "1" * 64, (48, 72), (0.9, 0.8),
        tensors,
    )  # fmt: skip


@pytest.fixture(scope="module")
def model():
    return tiny_model()


@pytest.fixture(scope="module")
def table(model):
    return table_of(model)


def test_a_table_survives_a_round_trip_and_is_plain_json(table, tmp_path):
    path = tmp_path / "new" / "t.json"
    write_table(path, table)
    assert read_table(path) == table
    body = json.loads(path.read_text())
    assert body["format"] == 1 and body["tensors"][0]["name"] == table.tensors[0].name
    assert [p.name for p in path.parent.iterdir()] == ["t.json"]
    dense = replace(table, rho=None, percentile=None)
    write_table(path, dense)
    assert read_table(path) == dense
    assert table.summary().tensors == len(table.tensors) and table.summary().skipped == 1


def test_the_table_of_the_model_is_accepted(table, model):
    check_table(table, model, "t.json")


def test_the_table_of_another_model_is_rejected_naming_the_first_tensor(table, model):
    inception = tiny_model("inception", "aspp")
    with pytest.raises(LcTrtError, match=r"t.json: is the table of another model \(tiny\)"):
        check_table(table, inception, "t.json")
    with pytest.raises(LcTrtError, match="tensor 'stage1/2/relu' is computed with other weights"):
        check_table(table, with_weight(model, "stage1/2/weight", 1), "t.json")
    short = replace(table, tensors=table.tensors[:-1])
    last = table.tensors[-1].name
    with pytest.raises(LcTrtError, match=f"the table ends and the model has '{last}'"):
        check_table(short, model, "t.json")


def test_a_table_fits_the_same_weights_exported_at_another_size():
    """Also where Resize, Slice and Range read sizes that a fixed size turns into constants."""
    model = tiny_encoder_model()
    network = tiny_encoder_cascade(len(INFO.classes))
    other = export_cascade(network, replace(INFO, size=(96, 136)), MEAN, STD)
    check_table(table_of(model), other, "t.json")
    changed = with_weight(other, "stage2/spatial1/weight", 1)
    with pytest.raises(LcTrtError, match="'stage2/spatial1/relu' is computed with other weights"):
        check_table(table_of(model), changed, "t.json")


def with_weight(model, name, more):
    """A model with something added to one of its weights."""
    changed = onnx.ModelProto()
    changed.CopyFrom(model)
    (weight,) = (t for t in changed.graph.initializer if t.name == name)
    weight.CopyFrom(numpy_helper.from_array(numpy_helper.to_array(weight) + more, name))
    return changed


@pytest.mark.parametrize(
    ("text", "message"),
    [
        ("not json", "no JSON"),
        ("[]", "not a calibration table of format 1"),
        ('{"format": 9}', "not a calibration table of format 1"),
        ('{"format": 1, "tensors": [{"name": "x"}]}', "missing or unknown field"),
        ('{"format": 1, "tensors": []}', "missing or unknown field"),
    ],
)
def test_an_invalid_table_is_rejected(tmp_path, text, message):
    path = tmp_path / "t.json"
    path.write_text(text)
    with pytest.raises(LcTrtError, match=f"{message}.*lc-trt calibrate"):
        read_table(path)


def test_a_missing_table_names_the_command(tmp_path):
    with pytest.raises(LcTrtError, match=r"cannot be read.*lc-trt calibrate"):
        read_table(tmp_path / "none.json")
