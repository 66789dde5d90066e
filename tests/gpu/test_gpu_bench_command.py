"""`lc-trt bench` and `--device` on a GPU: dense plans are built and measured beside the cascade."""

from __future__ import annotations

import json
from pathlib import Path

import onnx
import pytest
from tiny_networks import tiny_model

from lc_trt.backends.registry import compile_options
from lc_trt.builder.build import build
from lc_trt.cli.app import main
from lc_trt.trt import api as trt
from lc_trt.utils.machine import current_gpu

pytestmark = pytest.mark.gpu


@pytest.fixture(scope="module")
def bundle(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A tiny cascade in FP16."""
    gpu = current_gpu()
    if trt.installed() is None:
        pytest.skip("needs TensorRT: pip install 'lc-trt[tensorrt]'")
    if trt.load().rtx and gpu and gpu.compute_capability not in trt.load().compute_capabilities():
        pytest.skip(f"TensorRT for RTX does not run on {gpu.name} ({gpu.compute_capability})")
    folder = tmp_path_factory.mktemp("bench")
    onnx.save(tiny_model(), folder / "model.onnx")
    out = folder / "model.lct"
    return build(folder / "model.onnx", out, compile_options("tensorrt", (64, 96))).path


@pytest.mark.parametrize("size", ["64x96", "96x128"], ids=["as built", "built again"])
def test_all_rows_are_measured_on_the_gpu(bundle: Path, tmp_path: Path, size: str) -> None:
    found = tmp_path / "bench.json"
    options = ["--size", size, "--rounds", "5", "--no-check", "--device", "0"]
    assert main(["bench", str(bundle), *options, "--json", str(found)]) == 0
    report = json.loads(found.read_text())
    assert [row["name"] for row in report["rows"]] == ["dense", "LC", "LC fast"]
    assert {(row["backend"], row["precision"]) for row in report["rows"]} == {("tensorrt", "fp16")}
    assert all(row["fps"] > 0 for row in report["rows"])
    assert all(row["stage_ms"] and row["ceiling"] > 1 for row in report["rows"][1:])
    gpu = current_gpu()
    assert gpu is not None and report["environment"]["gpu"]["name"] == gpu.name
