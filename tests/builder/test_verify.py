"""What an engine has to reach beside FP32 before it is written."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path
from typing import Any

import onnx
import pytest
from int8_cases import image_folder
from tiny_networks import INFO, tiny_model
from toy_models import toy_manifest

from lc_trt.backends.base import Compiled
from lc_trt.builder.prepare_options import PreparedOptions
from lc_trt.builder.verify import VerifyOptions, judge, verify_engine
from lc_trt.bundle.manifest import Manifest
from lc_trt.bundle.sections import Agreement, Check
from lc_trt.compiler.options import CompileOptions
from lc_trt.compiler.pass_manager import run_passes
from lc_trt.compiler.passes.freeze import Freeze
from lc_trt.compiler.precision import Precision
from lc_trt.errors import LcTrtError
from lc_trt.utils.progress import ProgressMonitor

ALL = Agreement(8, labels=1.0, stages=1.0, confidence=0.0, mean_labels=1.0, mean_stages=1.0)


def manifest(backend: str, precision: str) -> Manifest:
    return replace(toy_manifest(backend=backend), precision=precision)


@pytest.mark.parametrize(
    ("backend", "precision", "figure", "least", "advice"),
    [
        ("openvino", "fp32", "labels", 0.99, "Build with --backend onnxruntime"),
        ("tensorrt", "fp32", "labels", 0.99, "Build with --backend onnxruntime"),
        ("tensorrt", "fp16", "labels", 0.99, "Build with --fp32"),
        ("openvino", "bf16", "mean_labels", 0.97, "Build with --fp32"),
        ("openvino", "fp16", "mean_stages", 0.97, "Build with --fp32"),
        ("onnxruntime", "int8", "mean_stages", 0.97, "Calibrate on 100 or more images"),
        ("tensorrt", "int8", "mean_labels", 0.97, "Calibrate on 100 or more images"),
    ],
)
def test_what_has_to_agree_and_what_helps(
    backend: str, precision: str, figure: str, least: float, advice: str
) -> None:
    made = manifest(backend, precision)

    def found(share: float, **wanted: Any) -> float:
        return judge(
            replace(ALL, **{figure: share}),
            made,
            "4 images",
            VerifyOptions(**wanted),
            ProgressMonitor(),
        )

    assert found(least) == least
    message = (
        f"the {backend} {precision} engine agrees with ONNX Runtime in FP32 on .*"
        rf"\(4 images\), expected at least {least:.0%}; nothing was written. {advice}.*--no-check"
    )
    with pytest.raises(LcTrtError, match=message):
        found(least - 0.005)
    assert found(0.5, min_agreement=0.5) == 0.5
    with pytest.raises(LcTrtError, match=r"expected at least 99\.5%"):
        found(0.99, min_agreement=0.995)


def test_the_worst_pass_counts_only_where_the_engine_is_as_exact_as_fp32() -> None:
    worst = replace(ALL, labels=0.5, stages=0.5)
    assert (
        judge(worst, manifest("openvino", "int8"), "", VerifyOptions(), ProgressMonitor()) == 0.97
    )
    with pytest.raises(LcTrtError, match=r"50\.00% of the labels"):
        judge(worst, manifest("tensorrt", "fp16"), "", VerifyOptions(), ProgressMonitor())


@pytest.mark.parametrize("precision", ["fp32", "int8"])
def test_a_confidence_that_is_not_finite_is_refused_however_few_there_are(precision: str) -> None:
    broken = replace(ALL, non_finite=1)
    engine = manifest("onnxruntime", precision)
    with pytest.raises(LcTrtError, match=r"; 1 confidences of either .* expected 0; nothing was"):
        judge(broken, engine, "", VerifyOptions(), ProgressMonitor())


def test_an_engine_that_need_not_agree_is_a_warning() -> None:
    said = []

    class Recorder(ProgressMonitor):
        def warn(self, text: str) -> None:
            said.append(text)

    worst = replace(ALL, mean_labels=0.5)
    asked = VerifyOptions(must_agree=False)
    assert judge(worst, manifest("onnxruntime", "int8"), "", asked, Recorder()) == 0.97
    assert len(said) == 1 and "50.00% of the labels" in said[0] and "written" not in said[0]


def test_an_int8_engine_that_cannot_run_here_is_held_to_fp32_by_its_network(
    tmp_path: Path,
) -> None:
    """With FP32's own network in its place all agrees; with another one the build fails."""
    source, other = tiny_model(), tiny_model("inception")
    facts = replace(toy_manifest(backend="tensorrt"), precision="int8", size=INFO.size)
    asked = VerifyOptions(images=image_folder(tmp_path / "images", 2))

    def check(network: onnx.ModelProto | None) -> Check:
        reference = network and run_passes(network, [Freeze(1, INFO.size)]).SerializeToString()
        compiled = Compiled(
            *("tensorrt", "11.4.0", Precision.INT8, {}),
            skip_reason="no GPU",
            reference_model=reference,
        )
        prepared = PreparedOptions(CompileOptions.of("tensorrt", INFO.size, 1, "int8"))
        return verify_engine(source, compiled, prepared, facts, INFO, asked, ProgressMonitor())

    found = check(source)
    assert (found.checked, found.skip_reason) == (False, "no GPU")
    assert found.agreement is not None and found.required == 0.97
    assert found.agreement.mean_labels == found.agreement.mean_stages == 1
    assert found.run_by == "onnxruntime" and found.agreement.count == 32
    assert found.speed is None
    said = "the tensorrt int8 engine's network agrees with ONNX Runtime in FP32 on"
    with pytest.raises(LcTrtError, match=said):
        check(other)
    assert check(None) == Check(skip_reason="no GPU")
