"""Preparation of an INT8 build: the table, the layers that stay out of INT8, and what it costs."""

from __future__ import annotations

from dataclasses import replace

import cv2
import numpy as np
import pytest
from compilation import lowered_for_tensorrt
from fake_backends import FakeToolchain, WrappedBackend
from fake_engine import FakeEngine
from int8_cases import RHO, image_folder, tiny_table
from recording_monitor import RecordingMonitor
from sklearn.metrics import jaccard_score
from tiny_networks import INFO, tiny_encoder_model, tiny_model

from lc_trt.backends.load import open_onnx
from lc_trt.backends.registry import registered
from lc_trt.backends.tensorrt import TensorRTBackend
from lc_trt.bundle.sections import Exclusion, Miou
from lc_trt.compiler.options import CompileOptions, Quantization
from lc_trt.compiler.passes.quantization_plan import make_plan
from lc_trt.compiler.pipeline import prepare
from lc_trt.errors import LcTrtError, UsageError
from lc_trt.quantization.calibration_table import read_table, write_table
from lc_trt.quantization.int8 import prepare_int8
from lc_trt.quantization.layer_selection import layer_groups
from lc_trt.quantization.options import QuantizationOptions

LABELS = (1, 2)  # class of each labelled image
INFO_ALL_STAGES = replace(INFO, default_rho=RHO)


@pytest.fixture(scope="module")
def model():
    return tiny_model()


@pytest.fixture(scope="module")
def root(model, tmp_path_factory):
    """Images, a table, and a labelled data set."""
    folder = tmp_path_factory.mktemp("int8")
    image_folder(folder / "images", 6)
    write_table(folder / "table.json", tiny_table(model, folder / "images"))
    image_folder(folder / "data" / "val" / "images", len(LABELS))
    (folder / "data" / "val" / "labels").mkdir()
    for i, label in enumerate(LABELS):
        path = folder / "data" / "val" / "labels" / f"{i:03}.png"
        assert cv2.imwrite(str(path), np.full(INFO.size, label, np.uint8))
    return folder


def prepare_on(backend, model, request, fallback="fp32", monitor=None, size=INFO.size):
    options = CompileOptions.of(backend, size, 1, "int8", fallback)
    return prepare_int8(model, INFO_ALL_STAGES, options, request, monitor or RecordingMonitor())


def test_a_table_is_read_and_requested_layers_stay_out(model, root):
    request = QuantizationOptions(root / "table.json", keep=("head1",))
    int8 = prepare_on("onnxruntime", model, request)
    convolutions = ("head1/0/conv", "head1/1/conv")
    assert int8.table == read_table(root / "table.json")
    assert int8.quantization == Quantization(int8.table.ranges, frozenset(convolutions))
    assert int8.held_out is None and int8.miou is None
    assert int8.calibration.excluded == (Exclusion(("head1",), "requested with --keep"),)
    assert int8.calibration.excluded_convolutions == convolutions
    assert int8.calibration.fallback_precision == "fp32"
    assert int8.calibration.table == int8.table.summary()


@pytest.mark.parametrize(("count", "held_out"), [(6, 1), (1, 0)])
def test_a_folder_is_split_into_calibration_and_verification(model, tmp_path, count, held_out):
    folder, monitor = image_folder(tmp_path, count), RecordingMonitor()
    int8 = prepare_on("onnxruntime", model, QuantizationOptions(folder, "minmax"), monitor=monitor)
    assert int8.table.method == "minmax" and int8.table.images == count - held_out
    assert monitor.phases == {"calibrating": (count - held_out, count - held_out)}
    assert any(f"{count - held_out} calibration images" in w for w in monitor.warnings)
    verification = set(int8.held_out.files) if int8.held_out else set()
    assert len(verification) == held_out and verification <= set(folder.iterdir())


def test_the_table_of_another_model_is_rejected(root):
    with pytest.raises(LcTrtError, match=r"table\.json: is the table of another model"):
        prepare_on("openvino", tiny_model("inception"), QuantizationOptions(root / "table.json"))


@pytest.mark.parametrize("make", [tiny_model, tiny_encoder_model])
def test_a_table_fits_every_size(make, tmp_path):
    """Of the image, and of the maps that a cascade on an encoder resizes others to."""
    table = tiny_table(make(), image_folder(tmp_path / "images", 1))
    write_table(tmp_path / "table.json", table)
    request = QuantizationOptions(tmp_path / "table.json")
    int8 = prepare_on("openvino", make(), request, size=(95, 137))
    assert int8.quantization.ranges == table.ranges and table.size == INFO.size


def test_unknown_layers_and_an_engine_without_int8_are_rejected(model, root):
    every = ("stage1", "stage2", "stage3", "head1", "head2")
    for keep, error, message in (
        (("stage9",), UsageError, "--keep stage9: no such layer runs"),
        (every, LcTrtError, "every layer would stay in floating point.*build without --int8"),
    ):
        with pytest.raises(error, match=message):
            prepare_on("openvino", model, QuantizationOptions(root / "table.json", keep=keep))


class SensitiveBlocks(WrappedBackend):
    """ONNX Runtime whose engines mislabel one more row for each sensitive block in INT8."""

    def __init__(self, blocks):
        super().__init__("onnxruntime")
        self.blocks = blocks

    def simulate(self, model, options):
        if options.quantization is None:
            return MislabelledRows(0)
        excluded = {"/".join(name.split("/")[:2]) for name in options.quantization.keep}
        return MislabelledRows(len(self.blocks - excluded))


class MislabelledRows(FakeEngine):
    """Labels each image with its class, except for some rows at the top."""

    def __init__(self, rows):
        super().__init__(None, shape=(1, *INFO.size))
        self.rows, self.images = rows, 0

    def run(self, image, rho=None):
        output = super().run(np.zeros_like(image), None)
        output.labels[:] = LABELS[self.images]
        output.labels[:, : self.rows] = 0
        self.images += 1
        return output


def test_labels_select_exactly_the_sensitive_blocks(model, root):
    """A row of 48 costs about two points of mIoU, so that both blocks have to stay out."""
    request = QuantizationOptions(root / "table.json", eval_root=root / "data", max_drop=1.0)
    with registered(SensitiveBlocks({"stage2/1", "head2/0"})):
        int8 = prepare_on("onnxruntime", model, request)
    excluded = int8.calibration.excluded
    assert [entry.layers for entry in excluded] == [("stage2/1",), ("head2/0",)]
    assert all(entry.reason.startswith("without it mIoU drops by ") for entry in excluded)
    assert int8.miou == Miou(fp32=1.0, int8=1.0, drop=0.0)
    groups = layer_groups(make_plan(prepare(model, INFO.size, 1)))
    members = groups["stage2/1"] | groups["head2/0"]
    assert int8.quantization.keep == members == set(int8.calibration.excluded_convolutions)


def test_nothing_is_left_for_int8_where_all_blocks_are_sensitive(model, root):
    request = QuantizationOptions(root / "table.json", eval_root=root / "data", max_drop=1.0)
    blocks = set(layer_groups(make_plan(prepare(model, INFO.size, 1))))
    with (
        registered(SensitiveBlocks(blocks)),
        pytest.raises(LcTrtError, match="every layer would stay in floating point"),
    ):
        prepare_on("onnxruntime", model, request)


def miou(network, images):
    """scikit-learn's mean Jaccard index of a lowered network."""
    engine = open_onnx("onnxruntime", network.SerializeToString())
    rho = np.array(RHO, np.float32)
    labels = [engine.run(cv2.imread(str(path))[None], rho).labels.ravel() for path in images]
    truth = np.repeat(LABELS, labels[0].size)
    return jaccard_score(truth, np.concatenate(labels), average="macro")


def test_labels_measure_a_tensorrt_engine_by_its_network(model, root):
    """Neither a plan nor a GPU is needed: ONNX Runtime runs the network to be built."""
    request = QuantizationOptions(root / "table.json", eval_root=root / "data", max_drop=100)
    with registered(TensorRTBackend(FakeToolchain(None))):
        int8 = prepare_on("tensorrt", model, request, fallback="fp16")
    images = sorted((root / "data/val/images").iterdir())
    # In FP32 beside INT8: the tensors beyond FP16 are not known yet.
    for quantization, figure in ((None, int8.miou.fp32), (int8.quantization, int8.miou.int8)):
        network = lowered_for_tensorrt(model, INFO.size, 1, "fp32", quantization)
        assert figure == pytest.approx(miou(network, images), abs=1e-4)
    assert int8.miou.drop == pytest.approx((int8.miou.fp32 - int8.miou.int8) * 100, abs=1e-2)
