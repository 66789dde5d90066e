"""Calibration tables: round trip through JSON, and rejection of invalid and foreign ones."""

from __future__ import annotations

import json
from dataclasses import replace

import pytest
from tiny_networks import INFO, tiny_model

from lc_trt.compiler.passes.quantization_plan import fingerprints, make_plan
from lc_trt.compiler.pipeline import prepare
from lc_trt.errors import LcTrtError
from lc_trt.quantization.calibration_table import (
    CalibrationTable,
    TensorRange,
    check_table,
    read_table,
    write_table,
)


@pytest.fixture(scope="module")
def folded():
    return prepare(tiny_model(), INFO.size, 1)


@pytest.fixture(scope="module")
def table(folded):
    made_by = fingerprints(folded, make_plan(folded))
    tensors = tuple(TensorRange(n, 0.0, 1.5, -0.25, 2.0, 99, v) for n, v in made_by.items())
    return CalibrationTable(
        "tiny", "0" * 64, "percentile", 99.9, 12, ("bad.png",), "1" * 64, (48, 72), (0.9, 0.8),
        tensors,
    )  # fmt: skip


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


def test_the_table_of_the_model_is_accepted(table, folded):
    check_table(table, folded, "t.json")


def test_the_table_of_another_model_is_rejected_naming_the_first_tensor(table, folded):
    inception = prepare(tiny_model("inception", "aspp"), INFO.size, 1)
    with pytest.raises(LcTrtError, match=r"t.json: is the table of another model \(tiny\)"):
        check_table(table, inception, "t.json")
    changed, plan = folded.copy(), make_plan(folded)
    conv = changed.edges().producers[plan.convolutions[2]]
    changed.constants[conv.input[1]] = changed.constants[conv.input[1]] + 1
    first = changed.edges().readers[conv.output[0]][0].output[0]
    with pytest.raises(LcTrtError, match=f"tensor '{first}' is computed with other weights"):
        check_table(table, changed, "t.json")
    short = replace(table, tensors=table.tensors[:-1])
    last = table.tensors[-1].name
    with pytest.raises(LcTrtError, match=f"the table ends and the model has '{last}'"):
        check_table(short, folded, "t.json")


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
