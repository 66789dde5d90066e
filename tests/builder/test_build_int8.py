"""Builds in INT8 and half precision: what is written, and what is rejected."""

from __future__ import annotations

import json
from dataclasses import astuple, replace

import cv2
import onnx
import pytest
from compilation import CPU_BACKENDS
from int8_cases import RHO, image_folder, tiny_table
from recording_monitor import RecordingMonitor
from tiny_networks import INFO, tiny_model

import lc_trt
from lc_trt.backends.registry import compile_options
from lc_trt.builder.build import build
from lc_trt.builder.verify import VerifyOptions
from lc_trt.bundle.bundle import CALIBRATION
from lc_trt.errors import LcTrtError, UsageError
from lc_trt.ir.metadata import write_info
from lc_trt.quantization.calibrate import checkpoint_path
from lc_trt.quantization.calibration_table import read_table, write_table
from lc_trt.quantization.options import QuantizationOptions
from lc_trt.runtime.engines.openvino import core


@pytest.fixture(scope="module")
def root(tmp_path_factory):
    """A tiny network without empty regions, images and a table."""
    folder = tmp_path_factory.mktemp("int8")
    model = tiny_model()
    write_info(model, replace(INFO, default_rho=RHO))
    onnx.save(model, folder / "model.onnx")
    image_folder(folder / "images", 6)
    write_table(folder / "table.json", tiny_table(model, folder / "images"))
    return folder


def build_int8(root, out, calib="table.json", backend="auto", min_agreement=0.5, monitor=None):
    return build(
        root / "model.onnx",
        out,
        compile_options(backend, precision="int8"),
        quantization=QuantizationOptions(root / calib, "minmax"),
        verify=VerifyOptions(min_agreement=min_agreement),
        monitor=monitor,
    )


@pytest.mark.parametrize("backend", CPU_BACKENDS)
def test_an_int8_bundle_records_its_calibration_and_runs(root, tmp_path, backend):
    bundle = build_int8(root, tmp_path / "m.lct", backend=backend)
    manifest = bundle.manifest
    assert manifest.precision == "int8" and manifest.backend == backend
    assert manifest.calibration.int8.table.images == 6 and manifest.calibration.fp16 is None
    check = manifest.check
    assert 0.5 <= check.agreement.mean_labels <= 1 and check.required == 0.5
    ratios = (*astuple(check.speed.over_dense), *astuple(check.speed.over_fp32))
    assert all(ratio > 0 for ratio in ratios)
    assert read_table(bundle.file(CALIBRATION)) == read_table(root / "table.json")
    with lc_trt.load(bundle.path) as segmenter:
        result = segmenter(cv2.imread(str(root / "images" / "000.png")))
    assert result.labels.shape == INFO.size


def test_a_build_that_fails_after_its_calibration_does_not_repeat_it(root, tmp_path):
    out = tmp_path / "m.lct"
    with pytest.raises(LcTrtError, match=r"int8 engine agrees with ONNX.*nothing was written"):
        build_int8(root, out, "images", min_agreement=1.0)
    assert list(tmp_path.iterdir()) == [checkpoint_path(out)]
    monitor = RecordingMonitor()
    bundle = build_int8(root, out, "images", monitor=monitor)
    assert monitor.reports["calibrating"] == [5], "all five images are in the checkpoint"
    assert list(tmp_path.iterdir()) == [out]
    assert bundle.manifest.check.images == "1 images held out of the calibration"
    assert list(monitor.phases)[:3] == ["building", "calibrating", "comparing with FP32"]
    assert monitor.phases["building"] == (4, 4) and monitor.open == []


def test_int8_without_a_calibration_is_rejected(root, tmp_path):
    with pytest.raises(UsageError, match="INT8 needs images or a table"):
        build(root / "model.onnx", tmp_path / "m.lct", compile_options(precision="int8"))
    assert not list(tmp_path.iterdir())


@pytest.mark.parametrize("precision", ["bf16", "fp16"])
def test_half_precision_runs_where_the_processor_supports_it(root, tmp_path, precision):
    if precision.upper() not in core().get_property("CPU", "OPTIMIZATION_CAPABILITIES"):
        pytest.skip(f"this processor has no {precision}")
    bundle = build(
        root / "model.onnx",
        tmp_path / "m.lct",
        compile_options("openvino", precision=precision),
        verify=VerifyOptions(min_agreement=0.8),
    )
    assert json.loads((bundle.path / "manifest.json").read_text())["precision"] == precision
    calibration = bundle.manifest.calibration
    assert (calibration is None) == (precision == "bf16")
    assert CALIBRATION not in bundle.manifest.files
    with lc_trt.load(bundle.path) as segmenter:
        segmenter(cv2.imread(str(root / "images" / "000.png")))
