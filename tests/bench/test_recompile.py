"""A bundle's options, from its manifest, and the timing cache of later benches."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path

import onnx
import pytest
from fake_tensorrt import fake_manifest
from int8_cases import image_folder, tiny_table
from tiny_networks import INFO, tiny_model

from lc_trt.backends.registry import compile_options
from lc_trt.bench.recompile import options_like, timing_cache
from lc_trt.builder.build import build
from lc_trt.builder.verify import VerifyOptions
from lc_trt.bundle.bundle import PLAN, SOURCE, Bundle, write_bundle
from lc_trt.bundle.manifest import Manifest
from lc_trt.bundle.sections import Calibration, Exclusion, Fp16Calibration, TensorRTBuild
from lc_trt.compiler.options import CompileOptions
from lc_trt.compiler.precision import Precision
from lc_trt.errors import LcTrtError
from lc_trt.quantization.calibration_table import write_table
from lc_trt.quantization.options import QuantizationOptions
from lc_trt.trt.options import PlanOptions
from lc_trt.utils.machine import Gpu

GPU = Gpu("Fake 1", "8.9")


@pytest.fixture
def temporary(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """The temporary folder of the process."""
    folder = tmp_path / "tmp"
    folder.mkdir()
    monkeypatch.setattr("tempfile.tempdir", str(folder))
    return folder


def tensorrt_bundle(folder: Path, manifest: Manifest) -> Bundle:
    return write_bundle(folder / "m.lct", manifest, {PLAN: b"plan", SOURCE: b"source"})


def test_an_int8_bundle_gives_the_options_that_it_was_built_with(tmp_path: Path) -> None:
    model = tiny_model()
    onnx.save(model, tmp_path / "m.onnx")
    table = tiny_table(model, image_folder(tmp_path / "images", 2))
    write_table(tmp_path / "t.json", table)
    bundle = build(
        tmp_path / "m.onnx",
        tmp_path / "m.lct",
        compile_options("onnxruntime", precision="int8"),
        quantization=QuantizationOptions(tmp_path / "t.json", keep=("head1", "stage1/1")),
        verify=VerifyOptions(min_agreement=0.0),
    )
    options = options_like(bundle, (32, 64), 2)
    assert options.fixed_shape() == ((32, 64), 2)
    assert (options.backend, options.precision) == ("onnxruntime", Precision.INT8)
    assert options.quantization is not None
    assert options.quantization.ranges == table.ranges
    assert set(options.quantization.keep) == {"head1/0/conv", "head1/1/conv", "stage1/1/conv"}
    assert options.device is None and options.tensorrt == PlanOptions()


def test_a_tensorrt_bundle_gives_its_builder_options(tmp_path: Path, temporary: Path) -> None:
    overflow = Fp16Calibration("images", 2, (Exclusion(("a", "b"), "too large"),))
    manifest = fake_manifest(
        precision="fp16",
        calibration=Calibration(fp16=overflow),
        tensorrt={"workspace_mib": 64, "optimization_level": 2, "hardware_compatible": True},
    )
    bundle = tensorrt_bundle(tmp_path, manifest)
    options = options_like(bundle, INFO.size, 1, device="cuda:1", gpu=GPU)
    assert (options.precision, options.fp32_tensors) == (Precision.FP16, ("a", "b"))
    assert (options.device, options.tensorrt.package) == ("cuda:1", "tensorrt")
    assert (options.tensorrt.workspace, options.tensorrt.opt_level) == (64, 2)
    assert options.tensorrt.hardware_compatible and options.tensorrt.plugin is None
    assert options.tensorrt.timing_cache == timing_cache(manifest, GPU)
    expected = CompileOptions.of("tensorrt", INFO.size, 1, "fp16", "fp16", fp32_tensors=("a", "b"))
    without = replace(options, tensorrt=PlanOptions(), device=None)
    assert without == options_like(bundle, INFO.size, 1) == expected


def test_the_timing_cache_is_private_and_of_one_version_and_gpu(temporary: Path) -> None:
    manifest = fake_manifest(tensorrt={"version": "11.4.0.106"})
    cache = timing_cache(manifest, GPU)
    assert cache is not None and cache.parent.parent == temporary
    assert cache.parent.stat().st_mode & 0o777 == 0o700
    assert cache.name == "tensorrt-11.4.0.106-Fake-1.timing"
    assert timing_cache(manifest, GPU) == cache
    assert timing_cache(manifest, Gpu("Fake 2", "8.9")) != cache
    rtx = replace(manifest, tensorrt=TensorRTBuild("tensorrt_rtx", "1.7.1"))
    assert timing_cache(rtx, GPU) is None, "it times nothing when it builds"


def test_a_folder_that_others_may_write_to_is_rejected(temporary: Path) -> None:
    manifest = fake_manifest()
    cache = timing_cache(manifest, GPU)
    assert cache is not None
    folder = cache.parent
    folder.chmod(0o777)
    with pytest.raises(LcTrtError, match=r"others may write to it; .* TMPDIR"):
        timing_cache(manifest, GPU)
    folder.rmdir()
    folder.symlink_to(temporary.parent)
    with pytest.raises(LcTrtError, match="others may write to it"):
        timing_cache(manifest, GPU)
    folder.unlink()
    folder.write_bytes(b"")
    with pytest.raises(LcTrtError, match=r"cannot be created \(File exists\)"):
        timing_cache(manifest, GPU)
