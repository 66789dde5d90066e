"""INT8 and reduced-precision builds: what is written, what is refused, what is kept."""

from __future__ import annotations

import json
from dataclasses import astuple, replace

import cv2
import numpy as np
import onnx
import openvino
import pytest
from compilation import CPU_BACKENDS, lowered_for_tensorrt
from fake_backends import FakeToolchain, WrappedBackend
from fake_engine import FakeEngine
from int8_cases import RHO, image_folder, tiny_table
from recording_monitor import RecordingMonitor
from sklearn.metrics import jaccard_score
from tiny_networks import INFO, tiny_model

import lc_trt
from lc_trt.backends.load import open_onnx
from lc_trt.backends.registry import compile_options, registered
from lc_trt.backends.tensorrt import TensorRTBackend
from lc_trt.bench.networks import dense_networks, open_own
from lc_trt.bench.recompile import options_like
from lc_trt.builder.build import build
from lc_trt.builder.verify import VerifyOptions
from lc_trt.bundle.bundle import CALIBRATION, SOURCE
from lc_trt.bundle.sections import Exclusion, Miou
from lc_trt.compiler.frontend.read_onnx import load_onnx
from lc_trt.compiler.options import CompileOptions, Quantization
from lc_trt.compiler.passes.quantization_plan import make_plan
from lc_trt.compiler.pipeline import prepare
from lc_trt.errors import LcTrtError, UsageError
from lc_trt.ir.metadata import read_info, write_info
from lc_trt.quantization import calibrate as calibrating
from lc_trt.quantization.activation_collector import Observer
from lc_trt.quantization.calibration_table import read_table, write_table
from lc_trt.quantization.int8 import prepare_int8
from lc_trt.quantization.layer_selection import layer_groups
from lc_trt.quantization.options import QuantizationOptions
from lc_trt.utils.progress import ProgressMonitor


@pytest.fixture(scope="module")
def root(tmp_path_factory):
    """The model, an image folder and a table, all of a tiny network without empty regions."""
    folder = tmp_path_factory.mktemp("int8")
    model = tiny_model()
    write_info(model, replace(INFO, default_rho=RHO))
    onnx.save(model, folder / "model.onnx")
    image_folder(folder / "images", 6)
    write_table(folder / "table.json", tiny_table(model, folder / "images"))
    return folder


def build_int8(root, out, calib="table.json", backend="auto", min_agreement=0.5, **asked):
    monitor = asked.pop("monitor", None)
    return build(
        root / "model.onnx",
        out,
        compile_options(backend, precision="int8"),
        quantization=QuantizationOptions(root / calib, "minmax", **asked),
        verify=VerifyOptions(min_agreement=min_agreement),
        monitor=monitor,
    )


@pytest.mark.parametrize("backend", CPU_BACKENDS)
def test_an_int8_bundle_says_how_it_was_made_and_runs(root, tmp_path, backend):
    bundle = build_int8(root, tmp_path / "m.lct", backend=backend, keep=("head1",))
    manifest = bundle.manifest
    assert manifest.precision == "int8" and manifest.backend == backend
    int8, check = manifest.calibration.int8, manifest.check
    assert int8.table.method == "minmax" and int8.table.images == 6
    assert int8.fallback_precision == "fp32" and manifest.calibration.fp16 is None
    assert int8.excluded == (Exclusion(("head1",), "asked for with --keep"),)
    assert int8.excluded_convolutions == ("head1/0/conv", "head1/1/conv")
    assert 0.5 <= check.agreement.mean_labels <= 1 and check.required == 0.5
    ratios = (*astuple(check.speed.over_dense), *astuple(check.speed.over_fp32))
    assert all(ratio > 0 for ratio in ratios)
    assert read_table(bundle.file(CALIBRATION)) == read_table(root / "table.json")
    with lc_trt.load(bundle.path) as segmenter:
        result = segmenter(cv2.imread(str(root / "images" / "000.png")))
    assert result.labels.shape == INFO.size


def test_the_bench_runs_dense_networks_in_the_bundles_precision(root, tmp_path):
    bundle = build_int8(root, tmp_path / "m.lct", keep=("stage3",))
    source = load_onnx(bundle.file(SOURCE))
    rows = dense_networks(bundle, source, options_like(bundle, INFO.size, 1), 1, all_runners=True)
    assert [row.precision for row in rows] == ["int8", "int8"]
    image = np.zeros((1, *INFO.size, 3), np.uint8)
    for engine in (rows[0].load(), open_own(bundle, source, options_like(bundle, (40, 64), 1), 1)):
        given = image[:, : engine.size[0], : engine.size[1]]
        rho = None if engine.kind == "dense" else np.ones(2, np.float32)
        assert engine.run(np.ascontiguousarray(given), rho).labels.shape == (1, *engine.size)


def test_the_bench_says_where_no_runner_computes_in_the_bundles_precision(root, tmp_path):
    bundle = build_int8(root, tmp_path / "m.lct")
    absent = [WrappedBackend(name, installed=False) for name in CPU_BACKENDS]
    options = options_like(bundle, INFO.size, 1)
    with registered(*absent), pytest.raises(LcTrtError, match="--runners all: no backend here"):
        dense_networks(bundle, load_onnx(bundle.file(SOURCE)), options, 1, all_runners=True)


def test_a_folder_of_images_is_split_into_ranges_and_check(root, tmp_path):
    monitor = RecordingMonitor()
    bundle = build_int8(root, tmp_path / "m.lct", "images", monitor=monitor)
    assert bundle.manifest.calibration.int8.table.images == 5
    assert bundle.manifest.check.images == "1 images held out of the calibration"
    assert list(monitor.phases.items())[:2] == [
        ("calibrating", (5, 5)),
        ("comparing with FP32", (2, 2)),
    ]
    assert any("5 calibration images" in w for w in monitor.warnings)


def test_a_stopped_build_goes_on_where_its_calibration_was(root, tmp_path, monkeypatch):
    monkeypatch.setattr(calibrating, "SAVE_EVERY", 2)
    whole = build_int8(root, tmp_path / "whole.lct", "images").file(CALIBRATION).read_text()
    passes, real = [], Observer.run

    def stopping(self, image, rho):
        passes.append(1)
        if len(passes) == 4:
            raise KeyboardInterrupt
        return real(self, image, rho)

    monkeypatch.setattr(Observer, "run", stopping)
    out, state = tmp_path / "m.lct", tmp_path / ".m.lct.seen"
    with pytest.raises(KeyboardInterrupt):
        build_int8(root, out, "images")
    assert state.is_file() and not out.exists()
    # Refused for its agreement after the calibration: that need not be done again either.
    with pytest.raises(LcTrtError, match="nothing was written"):
        build_int8(root, out, "images", min_agreement=1.0)
    assert len(passes) == 4 + 3 and state.is_file()
    bundle = build_int8(root, out, "images")
    assert len(passes) == 7, "all five images had been seen: two before the stop, three after"
    assert bundle.file(CALIBRATION).read_text() == whole
    assert not state.exists()


def test_too_little_agreement_writes_nothing_and_says_what_to_try(root, tmp_path):
    with pytest.raises(LcTrtError, match=r"int8 engine agrees with ONNX.*nothing was written"):
        build_int8(root, tmp_path / "m.lct", min_agreement=1.0)
    assert not list(tmp_path.iterdir())


class CostlyBlocks(WrappedBackend):
    """ONNX Runtime whose engines are right about a pixel in ten for each block in INT8.

    Args:
        needed: the blocks whose INT8 costs so much; that of others costs nothing.
    """

    def __init__(self, needed):
        super().__init__("onnxruntime")
        self.needed = needed

    def simulate(self, model, options):
        quantization = options.quantization
        kept = {"/".join(name.split("/")[:2]) for name in quantization.keep} if quantization else ()
        return RightRows(0 if quantization is None else len(self.needed - set(kept)))


class RightRows(FakeEngine):
    """Labels of class 1, but for some rows at the top."""

    def __init__(self, wrong):
        super().__init__(None, shape=(1, *INFO.size))
        self.wrong = wrong

    def run(self, image, rho=None):
        out = super().run(image, None)
        out.labels[:] = 1
        out.labels[:, : self.wrong] = 0
        return out


def test_labels_decide_which_blocks_stay_in_fp32(root, tmp_path):
    """mIoU as if two blocks cost some points each: exactly these are kept, and reported."""
    labelled(tmp_path / "data", [1, 1])
    needed = {"stage2/1", "head2/0"}
    request = {"eval_root": tmp_path / "data", "backend": "onnxruntime", "max_drop": 1.0}
    with registered(CostlyBlocks(needed)):
        bundle = build_int8(root, tmp_path / "m.lct", min_agreement=1.0, **request)
    excluded = bundle.manifest.calibration.int8.excluded
    assert [entry.layers for entry in excluded] == [("stage2/1",), ("head2/0",)]
    assert all(entry.reason.startswith("without it mIoU drops by ") for entry in excluded)
    assert bundle.manifest.check.miou == Miou(fp32=1.0, int8=1.0, drop=0.0)
    everything = CostlyBlocks(set(layer_groups(make_plan(folded(root)))))
    with registered(everything), pytest.raises(LcTrtError, match="every layer would stay"):
        build_int8(root, tmp_path / "n.lct", **request)


def folded(root):
    return prepare(load_onnx(root / "model.onnx"), INFO.size, 1)


def labelled(root, classes=(0, 1)):
    """Two labelled images, each of one class."""
    image_folder(root / "val" / "images", 2)
    (root / "val" / "labels").mkdir()
    for i, label in enumerate(classes):
        image = np.full((48, 72), label, np.uint8)
        cv2.imwrite(str(root / "val" / "labels" / f"{i:03}.png"), image)


def test_real_labels_are_measured(root, tmp_path):
    labelled(tmp_path / "data")
    bundle = build_int8(
        root, tmp_path / "m.lct", backend="onnxruntime", eval_root=tmp_path / "data", max_drop=100
    )
    miou = bundle.manifest.check.miou
    assert 0 <= miou.fp32 <= 1
    assert miou.drop == pytest.approx((miou.fp32 - miou.int8) * 100, abs=0.01)


def test_labels_measure_a_tensorrt_engine_by_its_network(root, tmp_path):
    """No plan is built for it, and no GPU needed: ONNX Runtime runs what would be built."""
    labelled(tmp_path / "data")
    model = load_onnx(root / "model.onnx")
    request = QuantizationOptions(root / "table.json", eval_root=tmp_path / "data", max_drop=100)
    options = CompileOptions.of("tensorrt", INFO.size, 1, "int8", "fp16")
    with registered(TensorRTBackend(FakeToolchain(None))):
        prepared = prepare_int8(model, read_info(model), options, request, ProgressMonitor())
    miou = prepared.miou
    assert miou.drop == pytest.approx((miou.fp32 - miou.int8) * 100, abs=0.01)
    # The codes are what INT8 costs; what FP16 beside them cannot hold is not known yet.
    ranges = Quantization(prepared.table.ranges)
    plain = lowered_for_tensorrt(model, INFO.size, 1, "fp32", ranges)
    engine = open_onnx("onnxruntime", plain.SerializeToString())
    images = [cv2.imread(str(path)) for path in sorted((tmp_path / "data/val/images").iterdir())]
    found = [engine.run(image[None], np.array(RHO, np.float32)).labels.ravel() for image in images]
    truth = np.repeat(np.arange(len(found)), found[0].size)
    expected = jaccard_score(truth, np.concatenate(found), average="macro")
    assert miou.int8 == pytest.approx(expected, abs=1e-4)


def test_another_models_table_is_refused(root, tmp_path):
    onnx.save(tiny_model("inception"), tmp_path / "other.onnx")
    with pytest.raises(LcTrtError, match="is the table of another model"):
        build(
            tmp_path / "other.onnx",
            tmp_path / "m.lct",
            compile_options(precision="int8"),
            quantization=QuantizationOptions(root / "table.json"),
        )


def test_wrong_arguments_are_refused(root, tmp_path):
    for arguments, error, message in (
        ({"keep": ("stage9",)}, UsageError, "--keep stage9: no layer of that name"),
        ({"keep": ("stage1", "stage2", "stage3", "head1", "head2")}, LcTrtError, "every layer"),
        ({"max_drop": -1}, UsageError, "max drop -1"),
    ):
        with pytest.raises(error, match=message):
            build_int8(root, tmp_path / "m.lct", **arguments)
    with pytest.raises(UsageError, match="INT8 needs images or a table"):
        build(root / "model.onnx", tmp_path / "m.lct", compile_options(precision="int8"))
    assert not list(tmp_path.iterdir())


def test_onnx_runtime_refuses_what_it_cannot_do(root, tmp_path):
    for precision in ("bf16", "fp16"):
        with pytest.raises(LcTrtError, match=f"no {precision} arithmetic on the CPU; build with"):
            options = compile_options("onnxruntime", precision=precision)
            build(root / "model.onnx", tmp_path / "m.lct", options)


def test_openvino_refuses_what_the_processor_cannot_do(root, tmp_path, monkeypatch):
    monkeypatch.setattr(openvino.Core, "get_property", lambda *_: ["FP32", "INT8", "BF16"])
    with pytest.raises(LcTrtError, match=r"this processor has no fp16.*--bf16 or --int8"):
        open_onnx("openvino", root / "model.onnx", precision="fp16")


@pytest.mark.parametrize("precision", ["bf16", "fp16"])
def test_half_precision_runs_where_the_processor_has_it(root, tmp_path, precision):
    if precision.upper() not in openvino.Core().get_property("CPU", "OPTIMIZATION_CAPABILITIES"):
        pytest.skip(f"this processor has no {precision}")
    bundle = build(
        root / "model.onnx",
        tmp_path / "m.lct",
        compile_options("openvino", precision=precision),
        verify=VerifyOptions(min_agreement=0.8),
    )
    assert json.loads((bundle.path / "manifest.json").read_text())["precision"] == precision
    found = bundle.manifest.calibration
    assert (found is None) == (precision == "bf16") and CALIBRATION not in bundle.manifest.files
    with lc_trt.load(bundle.path) as segmenter:
        segmenter(cv2.imread(str(root / "images" / "000.png")))
