"""Builds: a verified bundle, or one error and nothing written."""

from __future__ import annotations

import json
import re
from dataclasses import replace

import numpy as np
import onnx
import pytest
from compilation import CPU_BACKENDS
from fake_backends import WrappedBackend
from recording_monitor import RecordingMonitor
from tiny_networks import INFO, frames, middle_rho, run, session, tiny_model

import lc_trt
from lc_trt.backends.registry import compile_options, registered
from lc_trt.builder.build import build
from lc_trt.builder.verify import VerifyOptions
from lc_trt.bundle.bundle import SOURCE, read_bundle
from lc_trt.bundle.manifest import FORMAT
from lc_trt.bundle.sections import Profile
from lc_trt.compiler.pass_manager import run_passes
from lc_trt.compiler.passes.to_dense import ToDense
from lc_trt.errors import LcTrtError, UsageError
from lc_trt.ir.metadata import read_info
from lc_trt.trt.options import PlanOptions


@pytest.fixture(scope="module")
def source(tmp_path_factory):
    path = tmp_path_factory.mktemp("source") / "model.onnx"
    onnx.save(tiny_model(), path)
    return path


@pytest.mark.parametrize("backend", CPU_BACKENDS)
def test_a_built_bundle_equals_onnx_runtime(source, tmp_path, backend):
    monitor = RecordingMonitor()
    bundle = build(source, tmp_path / "m.lct", compile_options(backend), monitor=monitor)
    assert monitor.reports["building"] == [1, 2, 3, 4] and monitor.open == []
    manifest = bundle.manifest
    assert manifest.backend == backend and manifest.size == INFO.size
    assert manifest.default_rho == INFO.default_rho and manifest.fast_rho == INFO.fast_rho
    assert manifest.check.agreement.labels >= 0.99 and manifest.check.agreement.count > 0
    assert manifest.classes == INFO.classes
    assert (bundle.path / SOURCE).read_bytes() == source.read_bytes()
    reference = session(onnx.load(source))
    image = frames(1, INFO.size)
    rho = middle_rho(reference, image)
    expected = run(reference, image, rho)
    with lc_trt.load(bundle.path) as segmenter:
        result = segmenter(image[0], rho=rho)
    assert (result.labels == expected["labels"][0]).mean() > 0.999
    shares = [(expected["stages"] == s).mean() for s in (1, 2, 3)]
    np.testing.assert_allclose(result.shares, shares, atol=1e-6)


def test_size_batch_and_thresholds_are_those_of_the_options(source, tmp_path):
    bundle = build(
        source,
        tmp_path / "m.lct",
        compile_options(size=(40, 64), batch=2),
        rho=(0.9, 0.8),
        fast_rho=(0.5, 0.5),
    )
    manifest = read_bundle(bundle.path).manifest
    assert (manifest.size, manifest.batch) == ((40, 64), 2)
    assert (manifest.default_rho, manifest.fast_rho) == ((0.9, 0.8), (0.5, 0.5))
    info = read_info(onnx.load(bundle.file(SOURCE)))
    assert info == replace(INFO, default_rho=(0.9, 0.8), fast_rho=(0.5, 0.5))


def test_a_dense_model_builds_and_has_no_thresholds(source, tmp_path):
    path = tmp_path / "dense.onnx"
    onnx.save(run_passes(onnx.load(source), [ToDense()]), path)
    bundle = build(path, tmp_path / "m.lct")
    assert bundle.manifest.kind == "dense" and bundle.manifest.default_rho is None
    with pytest.raises(UsageError, match="a dense network has no thresholds"):
        build(path, tmp_path / "m.lct", rho=(0.5, 0.5))


@pytest.fixture
def biased():
    """OpenVINO with classifiers that always predict class 0."""

    def change(model):
        changed = onnx.ModelProto()
        changed.CopyFrom(model)
        for tensor in changed.graph.initializer:
            if list(tensor.dims) == [len(INFO.classes)]:
                value = onnx.numpy_helper.to_array(tensor) + np.float32([50, 0, 0, 0, 0])
                tensor.CopyFrom(onnx.numpy_helper.from_array(value, tensor.name))
        return changed

    with registered(WrappedBackend("openvino", change)):
        yield


def test_an_engine_that_disagrees_is_written_only_without_a_check(biased, source, tmp_path):
    disagrees = r"agrees with ONNX Runtime in FP32 on .*expected at least 99%"
    with pytest.raises(LcTrtError, match=f"{disagrees}.*--no-check"):
        build(source, tmp_path / "m.lct", compile_options("openvino"))
    assert not list(tmp_path.iterdir())
    monitor = RecordingMonitor()
    lenient = VerifyOptions(must_agree=False)
    options = compile_options("openvino")
    check = build(
        source, tmp_path / "m.lct", options, verify=lenient, monitor=monitor
    ).manifest.check
    assert check.checked and check.agreement.labels < 0.99
    assert len(monitor.warnings) == 1 and re.search(disagrees, monitor.warnings[0])


@pytest.mark.parametrize(
    ("arguments", "kind", "message"),
    [
        ({"backend": "tpu"}, UsageError, "unknown backend 'tpu'"),
        ({"size": (10, 500)}, UsageError, "size 10x500: expected HxW"),
        ({"batch": 0}, UsageError, "batch 0: expected at least 1"),
        ({"precision": "fp64"}, UsageError, "unknown precision 'fp64': expected fp32, fp16, bf16"),
        ({"batch": Profile(1, 2, 4)}, UsageError, "a range of batches or sizes: for --backend"),
        (
            {"tensorrt": PlanOptions(workspace=64, compute_capabilities=("8.9",))},
            UsageError,
            "--workspace, --compute-capability: for --backend tensorrt only, this is openvino",
        ),
    ],
)
def test_wrong_options_are_usage_errors(source, tmp_path, arguments, kind, message):
    with pytest.raises(kind, match=message):
        build(source, tmp_path / "m.lct", compile_options(**arguments))
    assert not list(tmp_path.iterdir())


@pytest.mark.parametrize(
    ("rho", "message"),
    [
        ((0.5, 1.5), r"rho \(0.5, 1.5\): expected one or two numbers"),
        ((float("nan"), 0.5), r"rho \(nan, 0.5\)"),
    ],
)
def test_wrong_thresholds_are_usage_errors(source, tmp_path, rho, message):
    with pytest.raises(UsageError, match=message):
        build(source, tmp_path / "m.lct", rho=rho)
    assert not list(tmp_path.iterdir())


def test_an_exchange_model_without_metadata_is_rejected(source, tmp_path):
    model = onnx.load(source)
    del model.metadata_props[:]
    onnx.save(model, tmp_path / "bare.onnx")
    with pytest.raises(LcTrtError, match="of an exchange model but no lc_trt metadata"):
        build(tmp_path / "bare.onnx", tmp_path / "m.lct")


def test_drawn_scenes_replace_missing_photographs(source, tmp_path, monkeypatch):
    monkeypatch.setattr("lc_trt.video.sample_frames.photographs_missing", lambda: True)
    bundle = build(source, tmp_path / "m.lct")
    assert bundle.manifest.check.images.startswith("drawn scenes")


def test_the_manifest_is_plain_json(source, tmp_path):
    bundle = build(source, tmp_path / "m.lct")
    body = json.loads((bundle.path / "manifest.json").read_text())
    assert body["format"] == FORMAT and body["precision"] == "fp32"
