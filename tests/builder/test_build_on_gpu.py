"""`lc-trt build --backend tensorrt` with a fake TensorRT and GPU: verification of the plan.

The fake TensorRT computes the toy network, and so does the ONNX to be built.
"""

from __future__ import annotations

import json
from dataclasses import asdict
from pathlib import Path
from typing import Any

import onnx
import pytest
from fake_backends import FakeToolchain
from fake_gpu import driver, toolchain, trt
from fake_tensorrt import fake_plan
from toy_models import CLASSES, COLOURS, SIZE, toy_model

from lc_trt.bundle.bundle import read_bundle
from lc_trt.cli.app import main
from lc_trt.ir.metadata import ModelInfo, write_info
from lc_trt.trt.builder import Plan
from lc_trt.utils.machine import Gpu

__all__ = ["driver", "toolchain", "trt"]


@pytest.fixture
def build(tmp_path: Path, toolchain: FakeToolchain, capfd: Any) -> Any:
    """Runs the command on the toy network, with the given share of wrong labels in the plan."""
    model = onnx.load_from_string(toy_model("dense"))
    write_info(model, ModelInfo("dense", "toy", CLASSES, COLOURS, SIZE))
    onnx.save(model, tmp_path / "toy.onnx")
    toolchain.current = Gpu("Fake 1", "8.9")

    def run(wrong: float, *more: str) -> tuple[int, Path, str]:
        plan = Plan(fake_plan("dense", (1, *SIZE), wrong=wrong), None, None)
        toolchain.plan = lambda network, options: plan
        out = tmp_path / "toy.lct"
        code = main(["build", str(tmp_path / "toy.onnx"), "-o", str(out), *more])
        return code, out, capfd.readouterr().err

    return run


def test_the_labels_of_the_plan_are_compared_and_the_agreement_is_written(build: Any) -> None:
    code, out, err = build(0.0, "--backend", "tensorrt")
    assert (code, err) == (0, "")
    manifest = read_bundle(out).manifest
    assert (manifest.backend, manifest.precision) == ("tensorrt", "fp16")
    assert manifest.gpu == Gpu("Fake 1", "8.9")
    check = manifest.check
    assert check.checked and check.agreement is not None
    assert check.agreement.labels == 1 and check.required == 0.99
    assert "agrees with ONNX Runtime on 100.00% of labels" in check.summary


@pytest.mark.parametrize("precision", ["--fp16", "--fp32"])
def test_less_than_99_percent_is_an_error_and_nothing_is_written(
    build: Any, precision: str
) -> None:
    code, out, err = build(0.03, "--backend", "tensorrt", precision)
    assert code == 1 and err.count("\n") == 1
    assert f"the tensorrt {precision[2:]} engine agrees with ONNX Runtime in FP32 on 96.99%" in err
    assert "expected at least 99%" in err and "--no-check" in err
    assert not out.exists() and [p.name for p in out.parent.iterdir()] == ["toy.onnx"]


def test_no_check_writes_the_plan_with_its_agreement(build: Any) -> None:
    code, out, err = build(0.03, "--backend", "tensorrt", "--no-check")
    assert code == 0 and err.startswith("warning: the tensorrt fp16 engine agrees")
    check = read_bundle(out).manifest.check
    assert check.checked and check.agreement is not None
    assert 0.96 < check.agreement.labels < 0.98
    assert json.loads((out / "manifest.json").read_text())["check"] == asdict(check)


def test_the_default_backend_is_tensorrt_where_it_runs(build: Any) -> None:
    code, out, _ = build(0.0)
    assert code == 0 and read_bundle(out).manifest.backend == "tensorrt"
