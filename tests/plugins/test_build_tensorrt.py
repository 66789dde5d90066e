"""The command `lc-trt build --backend tensorrt` with TensorRT for RTX, on a CPU."""

from __future__ import annotations

import functools
import json
import os
import re
import subprocess
import sys
from collections import Counter
from pathlib import Path
from typing import Any

import numpy as np
import onnx
import pytest
from compilation import lowered_for_tensorrt
from fake_library import library_bytes
from int8_cases import image_folder
from tiny_networks import tiny_model

from lc_trt.bundle.bundle import CALIBRATION, PLAN, PLUGINS, SOURCE, read_bundle
from lc_trt.cli.app import main
from lc_trt.compiler.options import Quantization
from lc_trt.compiler.pass_manager import run_passes
from lc_trt.compiler.passes.to_dense import ToDense
from lc_trt.errors import LcTrtError
from lc_trt.ir.export import export_cascade
from lc_trt.ir.interface import DOMAIN
from lc_trt.ir.metadata import ModelInfo
from lc_trt.model.network import NetworkSpec
from lc_trt.model.presets import build_cascade
from lc_trt.quantization.calibration_table import read_table
from lc_trt.trt import api as trt
from lc_trt.trt.plugin_library import FILE

pytestmark = [
    pytest.mark.slow,
    pytest.mark.skipif(
        trt.installed() != "tensorrt_rtx",
        reason="needs TensorRT for RTX and no other: pip install tensorrt-rtx==1.7.1.116",
    ),
]


@pytest.fixture(scope="module")
def source(tmp_path_factory: pytest.TempPathFactory) -> Path:
    path = tmp_path_factory.mktemp("source") / "tiny.onnx"
    onnx.save(tiny_model(), path)
    return path


@pytest.fixture(scope="module")
def irnet(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The published network, with random weights."""
    path = tmp_path_factory.mktemp("irnet") / "irnet.onnx"
    colours = tuple((i, i, i) for i in range(21))
    info = ModelInfo("cascade", "irnet", tuple(map(str, range(21))), colours)
    onnx.save(export_cascade(build_cascade("irnet", 21), info, (0, 0, 0), (1, 1, 1)), path)
    return path


@pytest.fixture(scope="module")
def irnet_small(repository: Path) -> Path:
    """The trained network."""
    return repository / "models" / "irnet-small-camvid" / "model.onnx"


@pytest.fixture(scope="module")
def lite2(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A cascade on the largest encoder of our own code, with random weights."""
    path = tmp_path_factory.mktemp("lite2") / "lite2.onnx"
    names = tuple(map(str, range(11)))
    info = ModelInfo("cascade", "lite2", names, tuple((i, i, i) for i in range(11)))
    spec = NetworkSpec(encoder="tf_efficientnet_lite2")
    onnx.save(export_cascade(spec.build(11), info, *spec.normalisation), path)
    return path


@functools.cache
def region_operators(model: Path) -> Counter[str]:
    """Number of occurrences of each in the network for TensorRT."""
    lowered = lowered_for_tensorrt(onnx.load(model), (300, 500), 1, "fp32")
    return Counter(node.op_type for node in lowered.graph.node if node.domain == DOMAIN)


def check_trace(model: Path, trace: str, convolutions: int = 60) -> None:
    """TensorRT's log has our plugin for each region operator, and no other plugin."""
    created = Counter(re.findall(r"Successfully created plugin: (\w+)", trace))
    assert created == region_operators(model) and created["RegionConv"] > convolutions


def arguments(model: Path, out: Path, library: Path, *more: str) -> list[str]:
    return [
        "build", str(model), "-o", str(out), "--backend", "tensorrt", "--plugin", str(library),
        *more,
    ]  # fmt: skip


@pytest.mark.parametrize("precision", ["fp16", "bf16", "fp32"])
@pytest.mark.parametrize("capability", ["8.0", "8.6", "8.9", "12.0"])
def test_irnet_small_builds(irnet_small, tmp_path, plugin_library, capsys, precision, capability):
    out = tmp_path / "m.lct"
    options = [f"--{precision}", "--compute-capability", capability, "--verbose"]
    assert main(arguments(irnet_small, out, plugin_library, *options)) == 0
    shown = capsys.readouterr()
    assert "not checked: the build found no NVIDIA GPU" in shown.out
    check_trace(irnet_small, shown.err)
    check_bundle(out, plugin_library, precision, [capability])


@pytest.mark.parametrize("precision", ["fp16", "bf16", "fp32"])
def test_irnet_builds_for_all_gpus_at_once(irnet, tmp_path, plugin_library, capsys, precision):
    out = tmp_path / "m.lct"
    assert main(arguments(irnet, out, plugin_library, f"--{precision}", "--verbose")) == 0
    check_trace(irnet, capsys.readouterr().err)
    bundle = check_bundle(out, plugin_library, precision, ["8.0", "8.6", "8.9", "12.0"])
    weights = irnet.stat().st_size / (1 if precision == "fp32" else 2)
    assert bundle.file(PLAN).stat().st_size > 0.9 * weights


@pytest.mark.parametrize("precision", ["fp16", "bf16", "fp32"])
def test_a_cascade_on_an_encoder_builds(lite2, tmp_path, plugin_library, capsys, precision):
    out = tmp_path / "m.lct"
    assert main(arguments(lite2, out, plugin_library, f"--{precision}", "--verbose")) == 0
    shown = capsys.readouterr()
    assert "not checked: the build found no NVIDIA GPU" in shown.out
    check_trace(lite2, shown.err, convolutions=12)
    check_bundle(out, plugin_library, precision, ["8.0", "8.6", "8.9", "12.0"])


def test_irnet_small_builds_in_int8(repository, tmp_path, plugin_library, capsys):
    """With the shipped network and table; its accuracy is known without a GPU."""
    model = repository / "models" / "irnet-small-camvid" / "model.onnx"
    table, out = repository / "calib" / "irnet-small-camvid.json", tmp_path / "m.lct"
    # Of the size that it was not calibrated at; the smaller the sooner it is checked.
    int8 = ["--int8", "--fp32", "--calib", str(table), "--compute-capability", "8.6,12.0"]
    smaller = ["--size", "96x128", "--min-agreement", "95"]
    assert main(arguments(model, out, plugin_library, *int8, *smaller)) == 0
    message = capsys.readouterr().out
    assert "equal to FP32: 9" in message and "its network, run by ONNX Runtime, agrees" in message
    bundle = check_bundle(out, plugin_library, "int8", ["8.6", "12.0"])
    manifest = bundle.manifest
    int8, check = manifest.calibration.int8, manifest.check
    assert int8.fallback_precision == "fp32" and int8.excluded == ()
    assert min(check.agreement.mean_labels, check.agreement.mean_stages) >= check.required == 0.95
    assert check.run_by == "onnxruntime" and check.speed is None
    # Convolutions that were not fused with their Q and DQ would have weights of another type.
    quantization = Quantization(read_table(table).ranges)
    lowered = lowered_for_tensorrt(onnx.load(model), (96, 128), 1, "fp32", quantization)
    values = {t.name: onnx.numpy_helper.to_array(t) for t in lowered.graph.initializer}
    decoded = [n.input[0] for n in lowered.graph.node if n.op_type == "DequantizeLinear"]
    weights = [values[name] for name in decoded if name in values]
    plan = bundle.file(PLAN).read_bytes()
    assert len(weights) == 51
    assert all(np.ascontiguousarray(w.transpose(0, 2, 3, 1)).tobytes() in plan for w in weights)


def test_irnet_builds_in_int8_for_all_gpus_at_once(irnet, tmp_path, plugin_library):
    """The plan has one byte per weight. Agreement is not required of random weights."""
    out = tmp_path / "m.lct"
    images = image_folder(tmp_path / "images", 2, (64, 96))
    more = ["--int8", "--calib", str(images), "--method", "minmax", "--keep", "stage3/0"]
    smaller = ["--size", "64x96", "--rho", "1", "--no-check"]
    assert main(arguments(irnet, out, plugin_library, *more, *smaller)) == 0
    bundle = check_bundle(out, plugin_library, "int8", ["8.0", "8.6", "8.9", "12.0"])
    assert bundle.manifest.calibration.int8.fallback_precision == "fp16"
    assert bundle.manifest.calibration.int8.excluded[0].layers == ("stage3/0",)
    assert bundle.file(PLAN).stat().st_size < 0.4 * irnet.stat().st_size


def test_int8_combines_with_bf16_which_needs_ampere(source, tmp_path, plugin_library, capsys):
    out, images = tmp_path / "m.lct", image_folder(tmp_path / "images", 2)
    both = ["--int8", "--bf16", "--calib", str(images), "--no-check"]
    assert main(arguments(source, out, plugin_library, *both)) == 0
    bundle = check_bundle(out, plugin_library, "int8", ["8.0", "8.6", "8.9", "12.0"])
    assert bundle.manifest.calibration.int8.fallback_precision == "bf16"
    capsys.readouterr()
    older = tmp_path / "older.lct"
    options = ["--bf16", "--compute-capability", "7.5"]
    assert main(arguments(source, older, plugin_library, *options)) == 2
    message = capsys.readouterr().err.splitlines()[-1]
    assert "--bf16: needs compute capability 8.0" in message and not older.exists()


def test_an_int8_engine_that_ruins_the_labels_is_not_written(
    source, tmp_path, plugin_library, capsys
):
    """Random weights agree on less than the limit, which needs no GPU to detect."""
    out, images = tmp_path / "m.lct", image_folder(tmp_path / "images", 3)
    int8 = ["--int8", "--calib", str(images)]
    code = main(arguments(source, out, plugin_library, *int8, "--min-agreement", "100"))
    message = capsys.readouterr().err.splitlines()[-1]
    assert code == 1 and "the tensorrt int8 engine's network agrees with ONNX Runtime" in message
    assert "nothing was written" in message and "--keep" in message and not out.exists()


def check_bundle(out: Path, library: Path, precision: str, capabilities: list[str]) -> Any:
    bundle = read_bundle(out)
    manifest = bundle.manifest
    ranges = [CALIBRATION] if precision == "int8" else []
    assert sorted(manifest.files) == sorted([PLAN, PLUGINS, SOURCE, *ranges])
    assert bundle.file(PLUGINS).read_bytes() == library.read_bytes()
    assert (manifest.backend, manifest.precision, manifest.gpu) == ("tensorrt", precision, None)
    assert manifest.tensorrt.package == "tensorrt_rtx"
    assert manifest.tensorrt.compute_capabilities == tuple(capabilities)
    assert manifest.check.skip_reason == "the build found no NVIDIA GPU to run it on"
    assert (manifest.check.agreement is not None) == (precision == "int8")
    return bundle


def test_profiles_and_options_reach_the_manifest(source, tmp_path, plugin_library, capsys):
    out = tmp_path / "m.lct"
    profile = ["--min-batch", "1", "--opt-batch", "2", "--max-batch", "4"]
    sizes = ["--min-size", "32x48", "--opt-size", "48x72", "--max-size", "64x96"]
    more = ["--workspace", "64", "--opt-level", "1", "--verbose", "--json"]
    assert main(arguments(source, out, plugin_library, *profile, *sizes, *more)) == 0
    shown = capsys.readouterr()
    body = json.loads(shown.out)
    assert body["batch_profile"] == {"min": 1, "opt": 2, "max": 4} and body["batch"] == 2
    assert body["size_profile"]["max"] == [64, 96] and body["size"] == [48, 72]
    assert body["tensorrt"]["workspace_mib"] == 64
    assert body["tensorrt"]["optimization_level"] == 1
    assert "Successfully created plugin: RegionConv" in shown.err


def test_a_dense_network_needs_no_plugins(source, tmp_path, capsys, monkeypatch):
    monkeypatch.setattr("lc_trt.trt.plugin_library.HOME", tmp_path)
    dense, out = tmp_path / "dense.onnx", tmp_path / "m.lct"
    onnx.save(run_passes(onnx.load(source), [ToDense()]), dense)
    assert main(["build", str(dense), "-o", str(out), "--backend", "tensorrt"]) == 0
    manifest = read_bundle(out).manifest
    assert manifest.plugin is None and sorted(manifest.files) == sorted([PLAN, SOURCE])


# --- bad input: one line, exit code 1 or 2, no partial output -------------------------------------


def failure(capsys: pytest.CaptureFixture[str], command: list[str], out: Path) -> tuple[int, str]:
    capsys.readouterr()
    code = main(command)
    shown = capsys.readouterr()
    assert shown.out == "" and shown.err.count("\n") == 1, shown.err
    assert shown.err.startswith("error: ") and "unexpected" not in shown.err
    assert not out.exists() and not list(out.parent.glob(".*.partial"))
    return code, shown.err


def bad_inputs(source: Path, folder: Path) -> dict[str, tuple[Path, str]]:
    """Files and the expected messages."""
    content = source.read_bytes()
    model = onnx.load(source)
    model.opset_import[0].version = 99
    files = {
        "truncated": (content[: len(content) // 2], "ONNX"),
        "random": (os.urandom(4096), "ONNX"),
        "empty": (b"", "ONNX"),
        "opset": (model.SerializeToString(), "model imports version 99; export it again, with"),
    }
    model = onnx.load(source)
    (entry,) = [p for p in model.metadata_props if p.key == "lc_trt"]
    entry.value = entry.value.replace('"format": 1', '"format": 9')
    files["format"] = (model.SerializeToString(), "model metadata has format 9")
    model = onnx.load(source)
    next(n for n in model.graph.node if n.domain == DOMAIN).op_type = "RegionFrobnicate"
    files["operator"] = (model.SerializeToString(), "lc_trt.RegionFrobnicate, expected one of")
    model = onnx.load(source)
    for imports in (model.opset_import, *(f.opset_import for f in model.functions)):
        for entry in imports:
            entry.version = 2 if entry.domain == DOMAIN else entry.version
    files["version"] = (model.SerializeToString(), "has region operators of version 2, expected")
    for name, (body, _) in files.items():
        (folder / f"{name}.onnx").write_bytes(body)
    return {name: (folder / f"{name}.onnx", message) for name, (_, message) in files.items()}


@pytest.mark.parametrize(
    "name", ["truncated", "random", "empty", "opset", "format", "version", "operator"]
)
def test_a_bad_model_is_a_one_line_error(source, tmp_path, plugin_library, capsys, name):
    path, message = bad_inputs(source, tmp_path)[name]
    out = tmp_path / "m.lct"
    code, line = failure(capsys, arguments(path, out, plugin_library), out)
    assert code == 1 and message in line and path.name in line


def test_a_bad_plugin_library_is_a_one_line_error(
    source, tmp_path, plugin_library, capsys, monkeypatch
):
    out = tmp_path / "m.lct"
    monkeypatch.setattr("lc_trt.trt.plugin_library.HOME", tmp_path / "none")
    command = arguments(source, out, tmp_path / "no.so")
    code, line = failure(capsys, command, out)
    assert code == 1 and "cannot be read" in line and "lc-trt plugin build" in line
    without = [word for word in command if word not in ("--plugin", str(tmp_path / "no.so"))]
    code, line = failure(capsys, without, out)
    assert code == 1 and "was not compiled" in line and "lc-trt plugin build" in line
    other = tmp_path / FILE
    # The real library, as a later version would mark it.
    marked = plugin_library.read_bytes().replace(b"plugins, version 1\0", b"plugins, version 2\0")
    for content, message in (
        (marked, "has plugins of version 2, this lc-trt needs version 1"),
        (library_bytes(2), "has plugins of version 2"),
        (b"no library", "is no plugin library of lc-trt"),
    ):
        other.write_bytes(content)
        code, line = failure(capsys, arguments(source, out, other), out)
        assert code == 1 and message in line and "lc-trt plugin build" in line


@pytest.mark.parametrize(
    ("option", "message"),
    [
        (["--timing-cache", "t"], "--timing-cache: TensorRT for RTX has nothing of the kind"),
        (["--hardware-compatible"], "--hardware-compatible: TensorRT for RTX"),
        (["--version-compatible"], "--version-compatible: TensorRT for RTX"),
        (["--compute-capability", "9.0"], "--compute-capability 9.0: tensorrt_rtx"),
        (["--compute-capability", "fast"], "--compute-capability 'fast': expected numbers"),
        (["--save-layers", "l.json"], "--save-layers: TensorRT's inspector needs a GPU"),
        (["--workspace", "0"], "--workspace 0: expected at least 1 MiB"),
        (["--opt-level", "9"], "--opt-level 9: expected 0 to 5"),
        (["--max-batch", "4"], "give all of --min-batch, --opt-batch and --max-batch"),
        (["--batch", "2", "--opt-batch", "4"], "--batch fixes what --min-batch"),
        (["--fp16", "--fp32"], "--fp32 and --fp16: expected one"),
        (["--opt-size", "10x10"], "size 10x10: expected HxW"),
    ],
)
def test_ignored_or_meaningless_options_are_refused(source, tmp_path, capsys, option, message):
    out = tmp_path / "m.lct"
    code, line = failure(capsys, arguments(source, out, tmp_path / "no.so", *option), out)
    assert code == 2 and message in line


def test_an_option_of_tensorrt_is_refused_elsewhere(source, tmp_path, capsys):
    out = tmp_path / "m.lct"
    command = ["build", str(source), "-o", str(out), "--backend", "openvino", "--opt-level", "3"]
    code, line = failure(capsys, command, out)
    assert code == 2 and "--opt-level: for --backend tensorrt only, this is openvino" in line


def test_an_edited_bundle_is_a_one_line_error(source, tmp_path, plugin_library, capsys):
    out = tmp_path / "m.lct"
    assert main(arguments(source, out, plugin_library)) == 0
    (out / PLUGINS).write_bytes(library_bytes())
    with pytest.raises(LcTrtError, match=rf"{FILE} was truncated or edited .*lc-trt build"):
        read_bundle(out)
    capsys.readouterr()
    assert main(["run", str(out), "--source", "none.png"]) in (1, 2)
    assert capsys.readouterr().err.count("\n") == 1


def test_the_command_needs_no_loader_settings(source, tmp_path, plugin_library):
    """In a new process, which would crash at the first plugin without the short name."""
    environment = {k: v for k, v in os.environ.items() if k != "LD_LIBRARY_PATH"}
    command = arguments(source, tmp_path / "m.lct", plugin_library)
    done = subprocess.run(
        [sys.executable, "-m", "lc_trt", *command],
        env=environment, capture_output=True, text=True, check=False,
    )  # fmt: skip
    assert done.returncode == 0, done.stderr
    assert (tmp_path / "m.lct" / PLAN).is_file()
