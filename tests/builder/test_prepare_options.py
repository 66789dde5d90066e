"""Completing the options of a build: what is measured for which precision."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path

import numpy as np
import onnx
import pytest
from int8_cases import image_folder, tiny_table
from onnx import numpy_helper
from recording_monitor import RecordingMonitor
from tiny_networks import INFO, tiny_model

from lc_trt.backends.registry import compile_options
from lc_trt.builder.prepare_options import PreparedOptions, check_request, prepare_options
from lc_trt.bundle.sections import Exclusion, Profile
from lc_trt.compiler.options import CompileOptions
from lc_trt.errors import UsageError
from lc_trt.quantization.calibration_table import read_table, write_table
from lc_trt.quantization.options import QuantizationOptions

SIZE = Profile.of(INFO.size)


@pytest.fixture(scope="module")
def table(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A table of the tiny cascade."""
    folder = tmp_path_factory.mktemp("int8")
    write_table(folder / "t.json", tiny_table(tiny_model(), image_folder(folder / "images", 2)))
    return folder / "t.json"


def beyond_fp16() -> onnx.ModelProto:
    """The tiny cascade with values beyond FP16 between two layers, and the same results."""
    model = tiny_model()
    tensors = {t.name: t for t in model.graph.initializer}
    factors = {"stage1/1/bn_scale": 8e4, "stage1/1/bn_shift": 8e4, "stage1/2/weight": 1 / 8e4}
    for name, factor in factors.items():
        value = numpy_helper.to_array(tensors[name]) * np.float32(factor)
        tensors[name].CopyFrom(numpy_helper.from_array(value, name))
    return model


def prepared(
    options: CompileOptions,
    quantization: QuantizationOptions | None = None,
    images: Path | None = None,
    model: onnx.ModelProto | None = None,
    monitor: RecordingMonitor | None = None,
) -> PreparedOptions:
    monitor = monitor or RecordingMonitor()
    return prepare_options(model or tiny_model(), INFO, options, quantization, images, monitor)


@pytest.mark.parametrize(
    ("backend", "precision"), [("openvino", "fp32"), ("openvino", "bf16"), ("tensorrt", "bf16")]
)
def test_precisions_with_the_range_of_fp32_need_no_measurement(
    backend: str, precision: str
) -> None:
    options, monitor = CompileOptions.of(backend, SIZE, 1, precision), RecordingMonitor()
    assert prepared(options, monitor=monitor) == PreparedOptions(options)
    assert monitor.phases == {}


@pytest.mark.parametrize("fallback", ["fp16", "fp32"])
def test_int8_takes_the_ranges_of_the_table(table: Path, fallback: str) -> None:
    options = CompileOptions.of("tensorrt", SIZE, Profile(1, 2, 4), "int8", fallback)
    result = prepared(options, QuantizationOptions(table, keep=("head1/0",)))
    assert result.table == read_table(table) and result.held_out is None
    assert result.options.quantization is not None
    assert result.options.quantization.ranges == read_table(table).ranges
    assert result.options.quantization.keep == {"head1/0/conv"}
    assert result.calibration is not None and result.calibration.int8 is not None
    assert result.calibration.int8.fallback_precision == fallback
    assert result.calibration.int8.excluded == (Exclusion(("head1/0",), "requested with --keep"),)
    # The tiny cascade fits FP16.
    assert result.options.fp32_tensors == ()
    assert (result.calibration.fp16 is None) == (fallback == "fp32")


@pytest.mark.parametrize("fallback", ["fp16", "fp32"])
def test_tensors_beyond_fp16_are_found_in_layers_outside_int8(
    tmp_path: Path, fallback: str
) -> None:
    model, monitor = beyond_fp16(), RecordingMonitor()
    images = image_folder(tmp_path / "images", 2)
    write_table(tmp_path / "t.json", tiny_table(model, images))
    options = CompileOptions.of("tensorrt", SIZE, 1, "int8", fallback)
    quantization = QuantizationOptions(tmp_path / "t.json", keep=("stage1/1", "stage1/2"))
    result = prepared(options, quantization, None, model, monitor)
    calibration = result.calibration
    assert calibration is not None and calibration.int8 is not None
    assert calibration.int8.excluded_convolutions == ("stage1/1/conv", "stage1/2/conv")
    if fallback == "fp32":
        assert calibration.fp16 is None and monitor.warnings == []
        return
    assert calibration.fp16 is not None
    assert {"stage1/1/conv", "stage1/1/relu"} <= set(result.options.fp32_tensors)
    assert set(result.options.fp32_tensors) == set(calibration.fp16.tensors)
    # A table comes without images.
    assert calibration.fp16.source == "photographs of scikit-image"
    assert "kept in FP32: stage1/1/conv (" in monitor.warnings[0]


def test_fp16_beside_int8_is_measured_on_the_calibration_images(tmp_path: Path) -> None:
    images = image_folder(tmp_path / "images", 4)
    options = CompileOptions.of("tensorrt", SIZE, 1, "int8", "fp16")
    result = prepared(options, QuantizationOptions(images, "minmax"), model=beyond_fp16())
    assert result.calibration is not None and result.calibration.fp16 is not None
    assert (result.calibration.fp16.source, result.calibration.fp16.images) == (
        "calibration images", 4,
    )  # fmt: skip
    assert result.held_out is not None and len(result.held_out) == 1


def test_contradicting_options_are_rejected(table: Path) -> None:
    mixed = compile_options("onnxruntime", SIZE, 1, "int8", "fp16")
    with pytest.raises(UsageError, match="--int8 --fp16: layers outside INT8 run in fp32 with onn"):
        check_request(mixed, QuantizationOptions(table), None)
    int8 = replace(mixed, fallback_precision=compile_options("onnxruntime").precision)
    check_request(int8, QuantizationOptions(table), None)
    with pytest.raises(UsageError, match="INT8 needs images or a table to calibrate with"):
        check_request(int8, None, None)
    fp32 = compile_options("onnxruntime", SIZE)
    with pytest.raises(UsageError, match="INT8 needs images or a table to calibrate with"):
        check_request(fp32, QuantizationOptions(table), None)
    with pytest.raises(UsageError, match="--calib belongs to --int8 and --fp16"):
        check_request(fp32, None, table.parent)
