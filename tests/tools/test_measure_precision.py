"""Measuring the accuracy of lower precisions: rounding, verdicts, and a whole run."""

from __future__ import annotations

import importlib.util
import json
import sys
from pathlib import Path
from types import ModuleType

import cv2
import ml_dtypes
import numpy as np
import onnx
import pytest
from compilation import lowered_for_tensorrt
from int8_cases import RHO, image_folder, tiny_table
from onnx import TensorProto, helper, numpy_helper
from tiny_networks import INFO, frames, run, session, tiny_model

from lc_trt.compiler.precision import Precision
from lc_trt.ir.metadata import ModelInfo, write_info
from lc_trt.quantization.calibration_table import write_table


@pytest.fixture(scope="module")
def tool(repository: Path) -> ModuleType:
    path = repository / "tools" / "measure_precision.py"
    spec = importlib.util.spec_from_file_location("measure_precision", path)
    assert spec is not None and spec.loader is not None
    module = importlib.util.module_from_spec(spec)
    sys.modules["measure_precision"] = module
    spec.loader.exec_module(module)
    return module


def product(weight: float) -> onnx.ModelProto:
    """x [1, 2] times a weight, then halved: beyond FP16 and back."""
    nodes = [
        helper.make_node("MatMul", ["x", "w"], ["y"], "y"),
        helper.make_node("Mul", ["y", "half"], ["h"], "h"),
        helper.make_node("Softmax", ["h"], ["z"], "z"),
    ]
    graph = helper.make_graph(
        nodes, "g",
        [helper.make_tensor_value_info("x", TensorProto.FLOAT, [1, 2])],
        [helper.make_tensor_value_info(n, TensorProto.FLOAT, [1, 2]) for n in ("h", "z")],
        [
            numpy_helper.from_array((np.eye(2) * weight).astype(np.float32), "w"),
            numpy_helper.from_array(np.float32(0.5), "half"),
        ],
    )  # fmt: skip
    return helper.make_model(graph, opset_imports=[helper.make_opsetid("", 18)], ir_version=10)


def test_values_are_rounded_as_fp16_has_them(tool: ModuleType) -> None:
    x = np.array([[1.0001, 300.3]], np.float32)
    model = session(tool.rounded(product(1.0001), Precision.FP16))
    expected = x.astype(np.float16) * np.float16(1.0001) * np.float16(0.5)
    found = model.run(["h"], {"x": x})[0]
    assert np.array_equal(found, expected.astype(np.float32))
    over, kept = (
        session(tool.rounded(product(1000), Precision.FP16, keep)) for keep in ((), ("y", "h"))
    )
    assert np.isinf(over.run(["h"], {"x": x})[0][0, 1])
    np.testing.assert_allclose(kept.run(["h"], {"x": x})[0], x * 500, rtol=1e-6)


def test_a_whole_network_is_rounded_and_stays_near(tool: ModuleType) -> None:
    plain = lowered_for_tensorrt(tiny_model(), INFO.size, 1, "fp32")
    images = frames(1)
    exact = run(session(plain), images, (0.5, 0.5))
    found = run(session(tool.rounded(plain, Precision.FP16)), images, (0.5, 0.5))
    difference = np.abs(found["confidence"] - exact["confidence"])
    assert 0 < difference.mean() < 0.01
    in_bf16 = run(session(tool.rounded(plain, Precision.BF16)), images, (0.5, 0.5))
    assert difference.mean() < np.abs(in_bf16["confidence"] - exact["confidence"]).mean() < 0.05


def test_values_are_rounded_as_bf16_has_them(tool: ModuleType) -> None:
    x = np.array([[1.0078125, 299008]], np.float32)
    model = session(tool.rounded(product(1.01), Precision.BF16))
    half = ml_dtypes.bfloat16
    expected = x.astype(half) * np.asarray(1.01, half) * np.asarray(0.5, half)
    assert np.array_equal(model.run(["h"], {"x": x})[0], expected.astype(np.float32))


ROWS = {
    "a": (0.68, (0.4, 0.2, 0.4)),
    "b": (0.675, (0.41, 0.2, 0.39)),
    "c": (0.69, (0.36, 0.2, 0.44)),
}


def test_a_row_is_judged_by_its_drop_and_its_shares(tool: ModuleType) -> None:
    def row(name: str, precision: str, key: str) -> object:
        miou, shares = ROWS[key]
        return tool.Row(name, precision, miou, 0.9, shares)

    rows = [
        row(tool.REFERENCE, "fp32", "a"), row("i", "int8", "b"), row("h", "fp16", "b"),
        row("s", "int8", "c"),
    ]  # fmt: skip
    found = {v.row: (v.drop, v.shift, v.met) for v in tool.judge(rows)}
    assert found == {"i": (0.5, 1.0, True), "h": (0.5, 1.0, False), "s": (-1.0, 4.0, False)}


@pytest.mark.slow
def test_it_runs(tool: ModuleType, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    model = tiny_model()
    write_info(model, ModelInfo(**{**INFO.__dict__, "default_rho": RHO}))
    onnx.save(model, tmp_path / "model.onnx")
    for split, count in (("train", 2), ("val", 1)):
        image_folder(tmp_path / "data" / split / "images", count)
        labels = tmp_path / "data" / split / "labels"
        labels.mkdir()
        for file in (tmp_path / "data" / split / "images").iterdir():
            cv2.imwrite(str(labels / file.name), np.zeros(INFO.size, np.uint8))
    write_table(tmp_path / "t.json", tiny_table(model, tmp_path / "data" / "train" / "images"))
    out = tmp_path / "new" / "a.json"
    arguments = {
        "--data": tmp_path / "data", "--model": tmp_path / "model.onnx", "--out": out,
        "--table": tmp_path / "t.json", "--work": tmp_path / "work", "--percentile": "99",
    }  # fmt: skip
    given = [str(part) for pair in arguments.items() for part in pair]
    rows = (("fp32", "openvino"), ("int8", "onnxruntime"))
    monkeypatch.setattr(tool, "ROWS", rows)
    monkeypatch.setattr(tool, "MAX_DROP", {"bf16": 100.0, "fp16": 100.0, "int8": 100.0})
    monkeypatch.setattr(sys, "argv", ["x", *given, "--bisect"])
    assert tool.main() in (0, 1)
    body = json.loads(out.read_text())
    names = [row["name"] for row in body["rows"]]
    assert names == [tool.REFERENCE, "int8 onnxruntime", *tool.ON_GRAPH.values()]
    assert all(sum(row["shares"]) == pytest.approx(1, abs=0.01) for row in body["rows"])
    assert body["bisection"]["evaluations"][0] == "mIoU in FP32"
    assert body["bisection"]["excluded"] == [] and set(body["bisection"]["miou"]) >= {
        "fp32",
        "int8",
    }
    assert str(tmp_path) not in body["command"]
