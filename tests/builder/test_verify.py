"""The agreement with FP32 that an engine has to reach before it is written."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import replace
from pathlib import Path
from typing import Any

import onnx
import pytest
from int8_cases import image_folder
from recording_monitor import RecordingMonitor
from tiny_encoder import tiny_encoder_cascade
from tiny_networks import INFO, MEAN, STD, frames, tiny_model
from toy_models import toy_manifest

from lc_trt.backends.base import Compiled
from lc_trt.backends.load import open_onnx
from lc_trt.builder.prepare_options import PreparedOptions
from lc_trt.builder.verify import (
    FROM_CALIBRATION,
    VerifyOptions,
    check_exact_regions,
    judge,
    verify_engine,
)
from lc_trt.bundle.manifest import Manifest
from lc_trt.bundle.sections import Agreement, Check, Miou
from lc_trt.compiler.options import CompileOptions
from lc_trt.compiler.pass_manager import run_passes
from lc_trt.compiler.passes.freeze import Freeze
from lc_trt.compiler.precision import Precision
from lc_trt.errors import LcTrtError
from lc_trt.ir.export import export_cascade
from lc_trt.model.neighbours import Neighbours
from lc_trt.quantization.int8 import HELD_OUT

ALL = Agreement(8, labels=1.0, stages=1.0, confidence=0.0, mean_labels=1.0, mean_stages=1.0)


def manifest(backend: str, precision: str) -> Manifest:
    return replace(toy_manifest(backend=backend), precision=precision)


@pytest.mark.parametrize(
    ("backend", "precision", "figure", "least", "advice"),
    [
        ("openvino", "fp32", "labels", 0.99, "Build with --backend onnxruntime"),
        ("tensorrt", "fp32", "labels", 0.99, "Build with --backend onnxruntime"),
        ("tensorrt", "fp16", "labels", 0.99, "Build with --fp32"),
        (
            "openvino",
            "bf16",
            "mean_labels",
            0.97,
            "Build with --fp32",
        ),
        ("openvino", "fp16", "mean_stages", 0.97, "Build with --fp32"),
        ("onnxruntime", "int8", "mean_stages", 0.97, "Calibrate on 100 or more images"),
        ("tensorrt", "int8", "mean_labels", 0.97, "Calibrate on 100 or more images"),
    ],
)
def test_too_little_agreement_is_an_error_with_advice(
    backend: str, precision: str, figure: str, least: float, advice: str
) -> None:
    section = manifest(backend, precision)

    def required(share: float, **options: Any) -> float:
        return judge(
            replace(ALL, **{figure: share}),
            section,
            "4 images",
            VerifyOptions(**options),
            RecordingMonitor(),
        )

    assert required(least) == least
    message = (
        f"the {backend} {precision} engine agrees with ONNX Runtime in FP32 on .*"
        rf"\(4 images\), expected at least {least:.0%}; nothing was written. .*{advice}.*--no-check"
    )
    with pytest.raises(LcTrtError, match=message):
        required(least - 0.005)
    assert required(0.5, min_agreement=0.5) == 0.5
    with pytest.raises(LcTrtError, match=r"expected at least 99\.5%"):
        required(0.99, min_agreement=0.995)


@pytest.mark.parametrize(("backend", "precision"), [("openvino", "bf16"), ("onnxruntime", "int8")])
def test_images_of_another_domain_are_named_as_a_cause(backend: str, precision: str) -> None:
    def message(origin: str, images: Path | None = None) -> str:
        low = replace(ALL, mean_labels=0.9)
        with pytest.raises(LcTrtError) as error:
            judge(
                low,
                manifest(backend, precision),
                origin,
                VerifyOptions(images=images),
                RecordingMonitor(),
            )
        return str(error.value)

    advice = "First compare on images of the network's domain (--check-images DIR)"
    assert advice in message("photographs of scikit-image")
    assert advice not in message("street", Path("street"))
    assert advice not in message(f"4 {FROM_CALIBRATION}")


def test_the_worst_pass_counts_only_in_precisions_as_exact_as_fp32() -> None:
    worst = replace(ALL, labels=0.5, stages=0.5)
    assert (
        judge(worst, manifest("openvino", "int8"), "", VerifyOptions(), RecordingMonitor()) == 0.97
    )
    with pytest.raises(LcTrtError, match=r"50\.00% of the labels"):
        judge(worst, manifest("tensorrt", "fp16"), "", VerifyOptions(), RecordingMonitor())


@pytest.mark.parametrize("precision", ["fp32", "int8"])
def test_a_single_non_finite_confidence_is_an_error(precision: str) -> None:
    broken = replace(ALL, non_finite=1)
    engine = manifest("onnxruntime", precision)
    with pytest.raises(LcTrtError, match=r"; 1 confidences of either .* expected 0; nothing was"):
        judge(broken, engine, "", VerifyOptions(), RecordingMonitor())


def test_an_engine_that_need_not_agree_gives_a_warning() -> None:
    worst, monitor = replace(ALL, mean_labels=0.5), RecordingMonitor()
    lenient = VerifyOptions(must_agree=False)
    assert judge(worst, manifest("onnxruntime", "int8"), "", lenient, monitor) == 0.97
    (warning,) = monitor.warnings
    assert "50.00% of the labels" in warning and "written" not in warning


@pytest.fixture
def check(tmp_path: Path) -> Callable[..., Check]:
    """Verifies an INT8 engine that cannot run here, by the network that it was built from."""
    source = tiny_model()
    section = replace(toy_manifest(backend="tensorrt"), precision="int8", size=INFO.size)
    verify = VerifyOptions(images=image_folder(tmp_path / "images", 2))

    def run(network: onnx.ModelProto | None, miou: Miou | None = None) -> Check:
        reference = network and run_passes(network, [Freeze(1, INFO.size)]).SerializeToString()
        compiled = Compiled(
            *("tensorrt", "11.4.0", Precision.INT8, {}),
            skip_reason="no GPU",
            reference_model=reference,
        )
        options = CompileOptions.of("tensorrt", INFO.size, 1, "int8")
        prepared = PreparedOptions(options, miou=miou)
        return verify_engine(source, compiled, prepared, section, INFO, verify, RecordingMonitor())

    return run


def test_an_int8_engine_without_a_gpu_is_compared_by_its_network(
    check: Callable[..., Check],
) -> None:
    result = check(tiny_model())
    assert (result.checked, result.skip_reason) == (False, "no GPU")
    assert result.agreement is not None and result.required == 0.97
    assert result.agreement.mean_labels == result.agreement.mean_stages == 1
    assert result.run_by == "onnxruntime" and result.agreement.count == 2 * HELD_OUT
    assert result.speed is None
    message = "the tensorrt int8 engine's network agrees with ONNX Runtime in FP32 on"
    with pytest.raises(LcTrtError, match=message):
        check(tiny_model("inception"))
    assert check(None) == Check(skip_reason="no GPU")


def test_measured_miou_replaces_the_agreement(check: Callable[..., Check]) -> None:
    miou = Miou(0.5, 0.495, 0.5)
    result = check(tiny_model("inception"), miou)
    assert result.miou == miou and result.required is None
    assert result.agreement is not None and result.agreement.mean_labels < 0.97


@pytest.mark.parametrize("neighbours", Neighbours)
def test_exits_must_not_change_pixels_that_go_on(neighbours: Neighbours) -> None:
    network = tiny_encoder_cascade(len(INFO.classes), neighbours=neighbours)
    frozen = run_passes(export_cascade(network, INFO, MEAN, STD), [Freeze(1, INFO.size)])
    engine = open_onnx("onnxruntime", frozen.SerializeToString(), threads=1)
    if neighbours is Neighbours.EXACT:
        check_exact_regions(engine, [frames(1)], manifest("onnxruntime", "fp32"))
        return
    message = "the onnxruntime fp32 engine changes the confidence of a pixel by .* at most 0.01"
    with pytest.raises(LcTrtError, match=message):
        check_exact_regions(engine, [frames(1)], manifest("onnxruntime", "fp32"))
