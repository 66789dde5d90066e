"""Opening bundles and exchange models, and the errors before a runtime reads them."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest
from fake_backends import FakeToolchain
from fake_tensorrt import fake_manifest
from tiny_networks import INFO, frames, run, session, tiny_model

import lc_trt
from lc_trt.backends.load import open_reference
from lc_trt.backends.registry import registered
from lc_trt.backends.tensorrt import TensorRTBackend
from lc_trt.bundle.bundle import PLAN, SOURCE, write_bundle
from lc_trt.errors import LcTrtError, UsageError
from lc_trt.trt import api as packages
from lc_trt.trt.api import TensorRT
from lc_trt.utils.machine import current_gpu


def test_the_reference_runs_an_exchange_model_unchanged() -> None:
    model, images, rho = tiny_model(), frames(2, INFO.size), (0.4, 0.4)
    engine = open_reference(model, INFO.size, 2)
    output = engine.run(images, np.array(rho, np.float32))
    expected = run(session(model), images, rho)
    assert np.array_equal(output.labels, expected["labels"])
    assert np.array_equal(output.stages, expected["stages"])


def test_a_plan_needs_cuda_python(tmp_path: Path) -> None:
    files = {PLAN: b"plan", SOURCE: b"source"}
    path = write_bundle(tmp_path / "m.lct", fake_manifest(), files).path
    tools = FakeToolchain(lambda name: TensorRT(name, "11.4.0", None, None, []), cuda=False)
    with registered(TensorRTBackend(tools)):
        with pytest.raises(LcTrtError, match="a TensorRT engine needs cuda-python"):
            lc_trt.load(path)
        with pytest.raises(UsageError, match=r"device cpu: expected cuda, .*--backend openvino"):
            lc_trt.load(path, device="cpu")


def test_a_bundle_without_its_engine_is_an_error(tmp_path: Path) -> None:
    path = write_bundle(tmp_path / "m.lct", fake_manifest(), {SOURCE: b"source"}).path
    with (
        registered(TensorRTBackend(FakeToolchain(None))),
        pytest.raises(LcTrtError, match=r"m\.lct: has no engine\.plan, only source\.onnx"),
    ):
        lc_trt.load(path)


def test_without_a_gpu_the_installed_packages_are_named_in_the_error(tmp_path: Path) -> None:
    """TensorRT for RTX and cuda-python themselves, without a GPU."""
    if packages.installed() is None or current_gpu() is not None:
        pytest.skip("needs TensorRT or TensorRT for RTX, and no GPU")
    here = packages.load()
    manifest = fake_manifest(tensorrt={"package": here.package, "version": here.version})
    path = write_bundle(tmp_path / "m.lct", manifest, {PLAN: b"plan", SOURCE: b"source"}).path
    with pytest.raises(LcTrtError, match=r"engine\.plan: .*NVIDIA.*-o NAME.lct --backend"):
        lc_trt.load(path)
