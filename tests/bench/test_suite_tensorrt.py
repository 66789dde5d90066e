"""The bench of a TensorRT bundle with a fake driver and a fake TensorRT: what it builds."""

from __future__ import annotations

import json
from collections.abc import Iterator
from dataclasses import replace
from pathlib import Path
from typing import Any

import onnx
import pytest
from fake_backends import FakeToolchain, WrappedBackend
from fake_cuda import FakeCuda
from fake_gpu import driver, trt
from fake_library import library_bytes
from fake_tensorrt import FakeTensorRT, fake_manifest, fake_plan
from int8_cases import image_folder, tiny_table
from tiny_networks import INFO

from lc_trt.backends.registry import get_backend, registered
from lc_trt.backends.tensorrt import TensorRTBackend
from lc_trt.bench import networks
from lc_trt.bench.options import Options
from lc_trt.bench.recompile import options_like
from lc_trt.bench.suite import run_bench
from lc_trt.bundle.bundle import CALIBRATION, PLAN, PLUGINS, SOURCE, Bundle, write_bundle
from lc_trt.bundle.sections import (
    Calibration,
    Exclusion,
    Fp16Calibration,
    Int8Calibration,
    TensorRTBuild,
)
from lc_trt.cli.app import main
from lc_trt.compiler.options import CompileOptions
from lc_trt.compiler.pass_manager import run_passes
from lc_trt.compiler.passes.to_dense import ToDense
from lc_trt.compiler.precision import Precision
from lc_trt.data.published import LC, LC_FAST
from lc_trt.errors import LcTrtError, UsageError
from lc_trt.ir.interface import DOMAIN
from lc_trt.model import presets
from lc_trt.model.cascade import Dense
from lc_trt.model.layers import Chain, Conv, MaxPool
from lc_trt.quantization.calibration_table import CalibrationTable
from lc_trt.trt import api as packages
from lc_trt.trt.api import TensorRT
from lc_trt.trt.builder import Plan
from lc_trt.trt.plugin_library import open_library
from lc_trt.utils.machine import Gpu, current_gpu
from lc_trt.utils.progress import ProgressMonitor

__all__ = ["driver", "trt"]
SIZE = (48, 80)
QUICK = Options(rounds=3, warmup=1, target_fps=1e-3, size=SIZE)
HERE = Gpu("Fake 1", "8.9")
BUILT = {"workspace_mib": 64, "optimization_level": 2, "hardware_compatible": False}


class Builder(FakeToolchain):
    """TensorRT with a builder that needs no GPU."""

    def __init__(self, driver: FakeCuda, trt: FakeTensorRT) -> None:
        super().__init__(trt.facade)
        self.driver = driver

    def build(
        self,
        tensorrt: TensorRT,
        network: onnx.ModelProto,
        options: CompileOptions,
        gpu: Gpu | None,
        origin: str,
        monitor: ProgressMonitor,
    ) -> Plan:
        kind = "cascade" if any(i.name == "rho" for i in network.graph.input) else "dense"
        self.requests.append(
            {
                "kind": kind,
                "model": network,
                "options": options.tensorrt,
                "gpu": gpu,
                "context": self.driver.stack[-1] if self.driver.stack else None,
            }
        )
        size, batch = options.fixed_shape()
        region = any(node.domain == DOMAIN for node in network.graph.node)
        library = open_library(options.tensorrt.plugin) if region else None
        return Plan(fake_plan(kind, (batch, *size)), library, None)


@pytest.fixture
def builder(
    driver: FakeCuda, trt: FakeTensorRT, monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> Iterator[Builder]:
    """A GPU, TensorRT and its builder, and a temporary folder."""
    tools = Builder(driver, trt)
    monkeypatch.setattr("lc_trt.utils.environment.busy", lambda: 0.0)
    (tmp_path / "tmp").mkdir()
    monkeypatch.setattr("tempfile.tempdir", str(tmp_path / "tmp"))
    with registered(TensorRTBackend(tools)):
        yield tools


@pytest.fixture
def bundle(source: Path, tmp_path: Path) -> Any:
    """Writes bundles of the tiny cascade."""

    def write(
        kind: str = "cascade",
        gpu: Gpu = HERE,
        table: CalibrationTable | None = None,
        **changes: Any,
    ) -> Bundle:
        library = tmp_path / "library.so"
        library.write_bytes(library_bytes())
        entry = open_library(library).manifest_entry()
        built = fake_manifest(
            kind,
            gpu=gpu,
            plugin=entry if kind == "cascade" else None,
            size=SIZE,
            name=INFO.name,
            classes=INFO.classes,
            colours=INFO.colours,
            tensorrt=BUILT,
            **{"precision": "fp16", **changes},
        )
        model = run_passes(onnx.load(source), [ToDense()]) if kind == "dense" else onnx.load(source)
        files: dict[str, bytes | Path] = {
            PLAN: fake_plan(kind, (1, *SIZE)),
            SOURCE: model.SerializeToString(),
        }
        if kind == "cascade":
            files[PLUGINS] = library
        if table is not None:
            files[CALIBRATION] = table.dumps().encode()
        return write_bundle(tmp_path / f"{kind}.lct", built, files)

    return write


def test_all_rows_of_a_cascade_run_plans(builder: Builder, bundle: Any) -> None:
    report = run_bench(bundle().path, QUICK)
    assert [row.name for row in report.rows] == ["dense", "LC", "LC fast"]
    assert {(row.backend, row.precision) for row in report.rows} == {("tensorrt", "fp16")}
    dense, lc, fast = report.rows
    for row in report.rows:
        assert row.fps == pytest.approx(1e3 / row.latency_ms["p50"])
    # Thresholds move at run time, so the time per stage comes from the same plan.
    for row in (lc, fast):
        assert row.stage_ms is not None and row.ceiling is not None and row.ceiling > 1
        assert sum(row.stage_ms) == pytest.approx(row.latency_ms["p50"])
    # Only near the published ones: saturated pixels of photographs tie in the fake network.
    assert lc.shares is not None and lc.shares[0] == pytest.approx(LC.shares[0], abs=0.1)
    assert fast.shares is not None and fast.shares[0] == pytest.approx(LC_FAST.shares[0], abs=0.1)
    assert report.reference is dense and dense.stage_ms is None and "-" in dense.cells()
    assert report.environment["gpu"] == {"name": "Fake 1", "compute_capability": "8.9"}
    assert "Fake 1 (compute capability 8.9)" in report.title() and "thread" not in report.title()
    json.dumps(report.as_dict())


def test_the_dense_network_is_built_as_the_bundle_was(
    builder: Builder, bundle: Any, driver: FakeCuda
) -> None:
    run_bench(bundle().path, QUICK)
    (request,) = builder.requests  # the cascade runs as built
    options = request["options"]
    assert request["kind"] == "dense" and request["gpu"] == HERE
    assert (options.workspace, options.opt_level) == (64, 2)
    assert request["context"] == 1000  # of the GPU under test
    types = {i.data_type for i in request["model"].graph.initializer}
    assert onnx.TensorProto.FLOAT16 in types  # in the bundle's precision


def test_baselines_run_plans_too(
    builder: Builder, bundle: Any, monkeypatch: pytest.MonkeyPatch
) -> None:
    def small(classes: int) -> Dense:
        trunk = Chain([Conv(3, 8, 3, stride=2), MaxPool(stride=2), MaxPool(stride=2)])
        return Dense([trunk], Chain([Conv(8, classes, norm=False, relu=False)]), classes)

    for name in ("vgg16", "resnet101"):
        baseline = replace(presets.BASELINES[name], build=small)
        monkeypatch.setitem(presets.BASELINES, name, baseline)
    report = run_bench(bundle().path, replace(QUICK, baselines=True))
    assert [row.name for row in report.rows] == ["VGG16", "ResNet-101", "dense", "LC", "LC fast"]
    assert {(row.backend, row.precision) for row in report.rows} == {("tensorrt", "fp16")}
    assert [request["kind"] for request in builder.requests] == ["dense"] * 3


@pytest.mark.parametrize("fallback", ["fp16", "fp32"])
def test_a_dense_network_of_an_int8_bundle_is_in_int8(
    builder: Builder, bundle: Any, source: Path, tmp_path: Path, fallback: str
) -> None:
    table = tiny_table(onnx.load(source), image_folder(tmp_path / "images", 2))
    calibration = Calibration(int8=Int8Calibration(table.summary(), fallback))
    built = bundle(table=table, precision="int8", calibration=calibration)
    report = run_bench(built.path, replace(QUICK, size=(32, 64)))
    assert {(row.backend, row.precision) for row in report.rows} == {("tensorrt", "int8")}
    floating = {"fp16": onnx.TensorProto.FLOAT16, "fp32": onnx.TensorProto.FLOAT}[fallback]
    for request in builder.requests:  # the dense network, and the cascade at another size
        types = {i.data_type for i in request["model"].graph.initializer}
        operators = [node.op_type for node in request["model"].graph.node]
        assert {onnx.TensorProto.INT8, floating} <= types and "QuantizeLinear" in operators
    assert [request["kind"] for request in builder.requests] == ["dense", "cascade"]


def test_tensors_beyond_fp16_stay_in_fp32_in_an_int8_bundle(
    builder: Builder, bundle: Any, source: Path, tmp_path: Path
) -> None:
    table = tiny_table(onnx.load(source), image_folder(tmp_path / "images", 2))
    overflow = (Exclusion(("head3/softmax",), "too large"), Exclusion(("stage1/0/conv",), "large"))
    calibration = Calibration(
        int8=Int8Calibration(table.summary(), "fp16"), fp16=Fp16Calibration("images", 2, overflow)
    )
    run_bench(bundle(table=table, precision="int8", calibration=calibration).path, QUICK)
    (request,) = builder.requests
    inferred = onnx.shape_inference.infer_shapes(request["model"]).graph
    types = {v.name: v.type.tensor_type.elem_type for v in inferred.value_info}
    assert types["stage1/0/conv"] == onnx.TensorProto.FLOAT


def test_another_size_and_batch_build_the_cascade_again(builder: Builder, bundle: Any) -> None:
    report = run_bench(bundle().path, replace(QUICK, size=(64, 96), batch=2))
    assert (report.size, report.batch) == ((64, 96), 2)
    assert [request["kind"] for request in builder.requests] == ["dense", "cascade"]
    shape = builder.requests[1]["model"].graph.input[0].type.tensor_type.shape.dim
    assert [d.dim_value for d in shape] == [2, 64, 96, 3]
    # With the library of the bundle: a process can load only one.
    assert builder.requests[1]["options"].plugin.name == PLUGINS


def test_a_dense_bundle_is_its_own_row(builder: Builder, bundle: Any) -> None:
    report = run_bench(bundle("dense").path, replace(QUICK, target_fps=None))
    assert [(row.name, row.backend) for row in report.rows] == [("dense", "tensorrt")]
    assert builder.requests == []


def test_the_bench_runs_on_the_requested_device(
    builder: Builder, bundle: Any, driver: FakeCuda
) -> None:
    second = Gpu("Fake 2", "8.6")
    report = run_bench(bundle(gpu=second).path, replace(QUICK, device="cuda:1"))
    assert report.environment["gpu"]["name"] == "Fake 2"
    (request,) = builder.requests
    assert (request["gpu"], request["context"]) == (second, 1001)


def test_a_bundle_that_does_not_run_here_is_rejected_before_anything_is_built(
    builder: Builder, bundle: Any, driver: FakeCuda
) -> None:
    other = bundle(gpu=Gpu("Other", "9.0")).path
    with pytest.raises(LcTrtError, match=r"built for compute capability 9.0 \(Other\)"):
        run_bench(other, QUICK)
    with pytest.raises(UsageError, match="device cpu: expected cuda"):
        run_bench(bundle().path, replace(QUICK, device="cpu"))
    driver.gpus = ()
    with pytest.raises(LcTrtError, match="no NVIDIA GPU is visible here"):
        run_bench(bundle().path, QUICK)
    assert builder.requests == []


def test_every_runner_of_the_precision_takes_part(builder: Builder, bundle: Any) -> None:
    built = bundle()
    everything = replace(get_backend("openvino").capabilities, precisions=tuple(Precision))
    fp16 = WrappedBackend("onnxruntime", capabilities=everything)
    absent = WrappedBackend("openvino", installed=False)
    with registered(fp16, absent):
        dense = networks.dense_networks(
            built, onnx.load(built.file(SOURCE)), options_like(built, SIZE, 1), 1, all_runners=True
        )
    assert [(network.row, network.precision) for network in dense] == [
        ("dense (tensorrt)", "fp16"),
        ("dense (onnxruntime)", "fp16"),
    ]


def test_a_second_bench_reuses_the_timing_cache_of_the_first(
    builder: Builder, bundle: Any, tmp_path: Path
) -> None:
    for _ in range(2):
        run_bench(bundle().path, QUICK)
    caches = {request["options"].timing_cache for request in builder.requests}
    assert len(builder.requests) == 2 and len(caches) == 1
    assert caches.pop().parent.parent == tmp_path / "tmp"


def test_the_command_prints_the_table(
    builder: Builder, bundle: Any, capsys: pytest.CaptureFixture[str]
) -> None:
    path = str(bundle().path)
    quick = ["--rounds", "2", "--warmup", "0", "--size", "48x80", "--target-fps", "0.001"]
    assert main(["bench", path, *quick, "--device", "0"]) == 0
    output = capsys.readouterr().out
    rows = {line.split()[0]: line for line in output.splitlines() if line.strip()}
    assert {"dense", "LC"} <= set(rows) and "tensorrt" in rows["dense"]
    assert output.rstrip().endswith("met")


def test_without_a_gpu_the_error_is_one_line(
    bundle: Any, capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    """With the installed packages."""
    if packages.installed() is None or current_gpu() is not None:
        pytest.skip("needs TensorRT or TensorRT for RTX, and no GPU")
    here = packages.load()
    built = bundle()
    section = TensorRTBuild(**{**BUILT, "package": here.package, "version": here.version})
    files = {name: built.file(name) for name in built.manifest.files}
    path = write_bundle(built.path, replace(built.manifest, tensorrt=section), files).path
    for words in (["bench"], ["run", "-s", "none.png"]):
        assert main([words[0], str(path), *words[1:]]) == 1
        output = capsys.readouterr()
        assert output.out == "" and output.err.count("\n") == 1
        assert "NVIDIA" in output.err and "--backend openvino" in output.err
