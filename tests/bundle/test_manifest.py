"""What a manifest keeps through JSON, and how one that cannot be used is refused."""

from __future__ import annotations

import json
from dataclasses import replace
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st
from toy_models import toy_manifest

from lc_trt.bundle.exit_bound import LABELS_CHANGED, TESTED, ExitBound
from lc_trt.bundle.manifest import FORMAT, Manifest
from lc_trt.bundle.sections import (
    Agreement,
    Calibration,
    Check,
    Exclusion,
    Fp16Calibration,
    Int8Calibration,
    Miou,
    PluginRecord,
    Profile,
    ReuseInputs,
    Speed,
    SpeedRatios,
    TableSummary,
    TensorRTBuild,
)
from lc_trt.bundle.typed_json import JsonError
from lc_trt.utils.machine import Gpu

TABLE = TableSummary(
    *("toy", "a" * 64, "percentile", 99.9, 100, 2, "b" * 64, (36, 60), (0.9, 0.8), 12, "0.1.0")
)
FULL = replace(
    toy_manifest(batch=2, backend="tensorrt"),
    precision="int8",
    gpu=Gpu("some GPU", "8.9"),
    plugin=PluginRecord("lc_trt", "1", "0" * 64, "library.so"),
    tensorrt=TensorRTBuild("tensorrt", "11.4.0.106", ("8.9",), 64, 3, version_compatible=True),
    batch_profile=Profile(1, 2, 4),
    size_profile=Profile((32, 32), (36, 60), (64, 64)),
    calibration=Calibration(
        Int8Calibration(TABLE, "fp16", (Exclusion(("head1",), "asked for"),), ("head1/conv",)),
        Fp16Calibration("photographs", 4, (Exclusion(("stage1/conv",), "reaches 1e6"),)),
    ),
    reuse=ReuseInputs({"past_stages": (1, 5, 8), "reuse": (2,)}),
    check=Check(
        run_by="tensorrt",
        images="photographs",
        agreement=Agreement(8, 0.99, 0.98, 0.25, 0.995, 0.985),
        required=0.97,
        miou=Miou(0.71, 0.7, 1.0),
        speed=Speed(SpeedRatios(2.0, 3.0), SpeedRatios(1.5, 1.25)),
    ),
    bound=ExitBound(
        LABELS_CHANGED, 0.01, TESTED, 0.95, (0.9, 0.8), 0.004, 480, 20, 3, "clips", "c" * 64
    ),
    trained={"val_miou": 0.7, "config": {"seeds": [1, 2]}},
)


def refusal(manifest: Manifest, **changes: Any) -> str:
    """What is said of a manifest with these fields in its JSON; a dotted name is deeper in it."""
    body = json.loads(manifest.dumps())
    for path, value in changes.items():
        section, (*outer, name) = body, path.split("__")
        for key in outer:
            section = section[key]
        section[name] = value
    with pytest.raises(JsonError) as caught:
        Manifest.loads(json.dumps(body))
    text = str(caught.value)
    assert "\n" not in text
    return text


@given(
    names=st.lists(st.text(min_size=1), min_size=1, max_size=5),
    size=st.tuples(st.integers(1, 4000), st.integers(1, 4000)),
    rho=st.tuples(st.floats(0, 1), st.floats(0, 1)),
    trained=st.none() | st.dictionaries(st.text(), st.integers()),
)
def test_a_manifest_survives_json(
    names: list[str],
    size: tuple[int, int],
    rho: tuple[float, float],
    trained: dict[str, int] | None,
) -> None:
    manifest = Manifest(
        "openvino",
        "1",
        "cascade",
        "n",
        "0" * 64,
        tuple(names),
        tuple((i, 0, 255) for i in range(len(names))),
        size,
        default_rho=rho,
        fast_rho=rho,
        trained=trained,
    )
    assert Manifest.loads(manifest.dumps()) == manifest


def test_every_section_survives_json() -> None:
    assert Manifest.loads(FULL.dumps()) == FULL
    body = json.loads(FULL.dumps())
    assert next(iter(body)) == "format" and body["format"] == FORMAT
    assert body["calibration"]["int8"]["table"]["method"] == "percentile"
    assert body["check"]["speed"]["over_dense"] == {"default": 2.0, "fast": 3.0}


def test_what_a_later_version_may_add_is_passed_over() -> None:
    body = json.loads(FULL.dumps())
    body["note"] = body["check"]["note"] = "x"
    assert Manifest.loads(json.dumps(body)) == FULL


@pytest.mark.parametrize(
    ("values", "message"),
    [
        ({"size": [300]}, "has size [300], expected a list of 2"),
        ({"size": "300x500"}, 'has size "300x500", expected a list'),
        ({"size": [0, 10]}, "has size[0] 0, expected a whole number of at least 1"),
        ({"kind": "other"}, 'has kind "other", expected cascade or dense'),
        ({"batch": 0}, "has batch 0, expected a whole number of at least 1"),
        ({"batch": "1"}, 'has batch "1", expected a whole number'),
        ({"batch": True}, "has batch true, expected a whole number"),
        ({"classes": []}, "has classes [], expected 1 to 255 classes"),
        ({"classes": [1, 2, 3, 4]}, "has classes[0] 1, expected text"),
        ({"colours": [[1, 2, 3]]}, "has colours [[1, 2, 3]], expected one colour per class, 4"),
        ({"colours": [[1, 2, 300]] * 4}, "has colours[0][2] 300, expected a number from 0 to 255"),
        ({"default_rho": [0.5, 1.5]}, "has default_rho[1] 1.5, expected a number from 0 to 1"),
        ({"default_rho": None}, "has default_rho null, expected two thresholds for kind cascade"),
        ({"fast_rho": [0.5]}, "has fast_rho [0.5], expected a list of 2"),
        ({"files": {"../up": "0" * 64}}, 'has files "../up", expected a file name without a path'),
        ({"files": {"a.onnx": "short"}}, 'has files.a.onnx "short", expected a SHA-256 in hexad'),
        ({"files": None}, "has files null, expected an object"),
        ({"batch_profile": {"min": 1, "opt": 1}}, "lacks 'batch_profile.max'"),
        (
            {"batch_profile": {"min": 2, "opt": 1, "max": 4}},
            "expected ascending min, opt and max",
        ),
        ({"batch_profile": {"min": 1, "opt": 2, "max": 4}}, "with opt equal to batch 1"),
        (
            {"size_profile": {"min": [36, 61], "opt": [36, 60], "max": [36, 60]}},
            "expected ascending",
        ),
        ({"size_profile": {"min": [8], "opt": [36, 60], "max": [36, 60]}}, "size_profile.min [8]"),
        ({"backend": "tensorrt"}, "has tensorrt null, expected an object for tensorrt"),
        ({"gpu": {"name": "some GPU"}}, "lacks 'gpu.compute_capability'"),
        ({"gpu": "some GPU"}, 'has gpu "some GPU", expected an object'),
        ({"precision": "int8"}, "has calibration null, expected an object with int8 for precision"),
        ({"check": {}}, "lacks 'check.skip_reason'"),
        ({"check__skip_reason": None}, "expected a skip_reason or an agreement"),
    ],
)
def test_a_value_that_makes_no_sense_is_named(values: dict[str, Any], message: str) -> None:
    assert message in refusal(toy_manifest(), **values)


@pytest.mark.parametrize(
    ("values", "message"),
    [
        ({"backend": "openvino"}, "expected null for openvino"),
        ({"plugin__file": "/lib.so"}, 'has plugin.file "/lib.so", expected a file name without'),
        ({"files": {"a": "0" * 64}}, "expected a file of the bundle (a)"),
        ({"tensorrt__version": "latest"}, 'has tensorrt.version "latest", expected a version such'),
        ({"tensorrt__compute_capabilities": ["sm_89"]}, "has tensorrt.compute_capabilities[0]"),
        (
            {"tensorrt__optimization_level": 6},
            "optimization_level 6, expected a number from 0 to 5",
        ),
        (
            {"calibration__int8__table__images": -1},
            "has calibration.int8.table.images -1, expected",
        ),
        (
            {"calibration__fp16__excluded": [{"layers": ["a"]}]},
            "'calibration.fp16.excluded[0].reas",
        ),
        ({"calibration__int8": None}, "expected an object with int8 for precision int8"),
        ({"reuse__inputs__reuse": [0]}, "has reuse.inputs.reuse[0] 0, expected a whole number of"),
        ({"check__agreement__labels": 1.5}, "has check.agreement.labels 1.5, expected a number"),
        (
            {"check__required": float("nan")},
            "has check.required NaN, expected a number from 0 to 1",
        ),
        ({"check__speed__over_fp32": {}}, "lacks 'check.speed.over_fp32.default'"),
        ({"check__miou__drop": "1"}, 'has check.miou.drop "1", expected a number'),
        ({"bound__limit": 1.5}, "has bound.limit 1.5, expected a number from 0 to 1"),
        ({"bound__measure": "x"}, 'has bound.measure "x", expected labels changed or mIoU lost'),
        ({"default_rho": [0.5, 0.5]}, "expected null, or a bound whose rho are default_rho"),
    ],
)
def test_a_section_that_makes_no_sense_is_named(values: dict[str, Any], message: str) -> None:
    assert message in refusal(FULL, **values)


def test_every_field_has_to_be_there() -> None:
    body = json.loads(FULL.dumps())
    for name in set(body) - {"format"}:
        short = {k: v for k, v in body.items() if k != name}
        with pytest.raises(JsonError, match=f"^lacks '{name}'$"):
            Manifest.loads(json.dumps(short))


def test_an_error_continues_a_sentence() -> None:
    for text, message in (
        ("", "is not JSON"),
        ("[1]", "is not a manifest"),
        ("{}", "is not a manifest"),
    ):
        with pytest.raises(JsonError, match=f"^{message}"):
            Manifest.loads(text)


def test_what_is_not_int8_has_a_precision() -> None:
    assert FULL.floating_precision == "fp16"
    assert toy_manifest().floating_precision == "fp32"
    assert replace(FULL, precision="bf16", calibration=None).floating_precision == "bf16"
