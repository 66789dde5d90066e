"""The networks of a bench: which there are, in which precision, and on which backends."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
from compilation import CPU_BACKENDS
from fake_backends import WrappedBackend
from int8_cases import image_folder, tiny_table

from lc_trt.backends.registry import registered
from lc_trt.bench.networks import (
    check_runs,
    dense_networks,
    export_baseline,
    export_peer,
    open_own,
)
from lc_trt.bench.recompile import options_like
from lc_trt.bundle.bundle import CALIBRATION, SOURCE, Bundle, write_bundle
from lc_trt.bundle.sections import Calibration, Int8Calibration
from lc_trt.compiler.frontend.read_onnx import load_onnx
from lc_trt.compiler.precision import Precision
from lc_trt.errors import LcTrtError, UsageError
from lc_trt.ir.metadata import read_info
from lc_trt.runtime.engines.base import Engine

SIZE = (48, 80)


@pytest.fixture(scope="module")
def int8(untrained: Bundle, tmp_path_factory: pytest.TempPathFactory) -> Bundle:
    """The untrained cascade with the manifest and the table of an INT8 bundle."""
    folder, source = tmp_path_factory.mktemp("int8"), load_onnx(untrained.file(SOURCE))
    table = tiny_table(source, image_folder(folder / "images", 2))
    calibration = Calibration(int8=Int8Calibration(table.summary(), "fp32"))
    manifest = replace(untrained.manifest, precision="int8", calibration=calibration)
    files: dict[str, bytes | Path] = {name: untrained.file(name) for name in manifest.files}
    files[CALIBRATION] = table.dumps().encode()
    return write_bundle(folder / "int8.lct", manifest, files)


def run(engine: Engine) -> None:
    """Run a grey image; no confidence exceeds the thresholds."""
    image = np.full((engine.batch, *engine.size, 3), 128, np.uint8)
    rho = np.ones(2, np.float32) if engine.kind == "cascade" else None
    assert engine.run(image, rho).labels.shape == (engine.batch, *engine.size)
    engine.close()


def test_dense_networks_run_in_the_precision_of_the_bundle(int8: Bundle) -> None:
    source = load_onnx(int8.file(SOURCE))
    backends = [WrappedBackend(name) for name in CPU_BACKENDS]
    with registered(*backends):
        networks = dense_networks(int8, source, options_like(int8, SIZE, 1), 1, all_runners=True)
        assert [network.row for network in networks] == [f"dense ({n})" for n in CPU_BACKENDS]
        assert {network.precision for network in networks} == {"int8"}
        for network, backend in zip(networks, backends, strict=True):
            assert backend.compiled == [], "nothing is compiled before it is loaded"
            engine = network.load()
            assert engine.kind == "dense" and engine.size == SIZE
            run(engine)
            (options,) = backend.compiled
            assert options.precision is Precision.INT8 and options.quantization is not None


def test_the_bundle_is_compiled_again_only_for_another_size_or_batch(int8: Bundle) -> None:
    source, backend = load_onnx(int8.file(SOURCE)), WrappedBackend("openvino")
    with registered(backend):
        for size, batch, compiled in ((SIZE, 1, 0), ((40, 64), 1, 1), (SIZE, 2, 2)):
            engine = open_own(int8, source, options_like(int8, size, batch), 1)
            assert (engine.kind, engine.size, engine.batch) == ("cascade", size, batch)
            run(engine)
            assert len(backend.compiled) == compiled
    assert {options.precision for options in backend.compiled} == {Precision.INT8}


def test_runners_without_the_precision_of_the_bundle_are_left_out(int8: Bundle) -> None:
    source, options = load_onnx(int8.file(SOURCE)), options_like(int8, SIZE, 1)
    fp32 = replace(WrappedBackend("openvino").capabilities, precisions=(Precision.FP32,))
    without = WrappedBackend("openvino", capabilities=fp32)
    with registered(without):
        networks = dense_networks(int8, source, options, 1, all_runners=True)
        assert [network.row for network in networks] == ["dense (onnxruntime)"]
    absent = [WrappedBackend(name, installed=False) for name in CPU_BACKENDS]
    with registered(*absent), pytest.raises(LcTrtError, match="--runners all: no backend here"):
        dense_networks(int8, source, options, 1, all_runners=True)


def test_baselines_run_in_fp32_and_precede_the_bundles_network(int8: Bundle) -> None:
    source, options = load_onnx(int8.file(SOURCE)), options_like(int8, SIZE, 1)
    networks = dense_networks(int8, source, options, 1, baselines=True)
    rows = [(n.row, n.own, n.precision, n.published_fps) for n in networks]
    assert rows == [
        ("VGG16", False, "fp32", 5.7),
        ("ResNet-101", False, "fp32", 7.1),
        ("dense", True, "int8", None),
    ]


@pytest.mark.parametrize(("precision", "expected"), [("bf16", "bf16"), ("int8", "fp32")])
def test_peers_run_in_the_floating_point_precision_of_the_bundle(
    int8: Bundle, precision: str, expected: str
) -> None:
    source, options = load_onnx(int8.file(SOURCE)), options_like(int8, SIZE, 1)
    if precision == "bf16":
        options = replace(options, precision=Precision.BF16, quantization=None)
    networks = dense_networks(int8, source, options, 1, peers=True)
    assert [(n.name, n.row, n.own, n.precision) for n in networks] == [
        ("pidnet-s", "PIDNet-S", False, expected),
        ("ddrnet-23-slim", "DDRNet-23-slim", False, expected),
        (int8.manifest.name, "dense", True, precision),
    ]


@pytest.mark.slow
@pytest.mark.usefixtures("narrow_peers")
def test_a_peer_has_the_classes_of_the_bundle_and_runs(untrained: Bundle) -> None:
    manifest, model = untrained.manifest, export_peer("ddrnet-23-slim", untrained)
    info = read_info(model)
    assert info is not None
    assert (info.kind, info.name, info.size) == ("dense", "ddrnet-23-slim", manifest.size)
    assert (info.classes, info.colours) == (manifest.classes, manifest.colours)
    source = load_onnx(untrained.file(SOURCE))
    networks = dense_networks(
        untrained, source, options_like(untrained, (40, 64), 2), 1, peers=True
    )
    run(networks[1].load())


def test_a_bundle_of_a_baseline_is_not_its_own_baseline(untrained: Bundle) -> None:
    bundle = replace(untrained, manifest=replace(untrained.manifest, name="vgg16"))
    source = load_onnx(untrained.file(SOURCE))
    networks = dense_networks(bundle, source, options_like(bundle, SIZE, 1), 1, baselines=True)
    assert [(n.row, n.own) for n in networks] == [("ResNet-101", False), ("dense", True)]


def test_an_exported_baseline_has_the_classes_of_the_bundle(untrained: Bundle) -> None:
    info = read_info(export_baseline("vgg16", untrained))
    manifest = untrained.manifest
    assert (info.kind, info.name, info.size) == ("dense", "vgg16", manifest.size)
    assert (info.classes, info.colours) == (manifest.classes, manifest.colours)


def test_a_device_that_the_bundle_does_not_run_on_is_rejected(untrained: Bundle) -> None:
    assert check_runs(untrained, None) == check_runs(untrained, "cpu") == (None, None)
    with pytest.raises(UsageError, match="device cuda:0: expected cpu"):
        check_runs(untrained, "cuda:0")
