"""Calibration of a tiny network: ranges, resuming, unreadable files, reproducibility."""

from __future__ import annotations

from dataclasses import replace

import numpy as np
import onnx
import pytest
from int8_cases import RHO, image_folder, tiny_table
from onnx import numpy_helper
from recording_monitor import RecordingMonitor
from tiny_networks import INFO, frames, tiny_model

from lc_trt.compiler.passes.quantization_plan import make_plan
from lc_trt.compiler.pipeline import prepare
from lc_trt.data.images import list_images
from lc_trt.errors import LcTrtError, UsageError
from lc_trt.quantization.activation_collector import ActivationCollector
from lc_trt.quantization.calibrate import (
    SAVE_EVERY,
    calibrate,
    calibrate_file,
    checkpoint_path,
)
from lc_trt.quantization.calibration_table import read_table
from lc_trt.quantization.options import CalibrationOptions

OPTIONS = CalibrationOptions("mse", rho=RHO, threads=1)


@pytest.fixture(scope="module")
def model():
    return tiny_model()


@pytest.fixture(scope="module")
def folder(tmp_path_factory):
    return image_folder(tmp_path_factory.mktemp("images"), 6)


@pytest.fixture(scope="module")
def table(model, folder):
    return tiny_table(model, folder, OPTIONS)


class Interrupted(RecordingMonitor):
    """Raises like Ctrl-C after some images."""

    def __init__(self, after):
        super().__init__()
        self.after = after

    def done(self, phase, steps):
        super().done(phase, steps)
        if steps == self.after:
            raise KeyboardInterrupt


def test_ranges_are_those_of_the_activations(model, folder):
    table = tiny_table(model, folder, replace(OPTIONS, method="minmax"))
    graph = prepare(model, INFO.size, 1)
    collector = ActivationCollector(graph, make_plan(graph), 1)
    low, high = dict.fromkeys(collector.names, 0.0), dict.fromkeys(collector.names, 0.0)
    for image in frames(6):
        for name, values in collector.run(image[None], RHO):
            low[name] = min(low[name], float(values.min()))
            high[name] = max(high[name], float(values.max()))
    assert {tensor.name for tensor in table.tensors} == set(low)
    for tensor in table.tensors:
        assert tensor.high == pytest.approx(high[tensor.name], rel=1e-5)
        assert tensor.low == pytest.approx(low[tensor.name], rel=1e-5)
        assert (tensor.smallest, tensor.largest) == (tensor.low, tensor.high)


def test_the_same_images_give_the_same_table(model, folder, table):
    assert tiny_table(model, folder, OPTIONS).dumps() == table.dumps()
    assert table.images == 6 and table.rho == RHO and table.size == INFO.size


def test_images_of_any_size_are_accepted(model, tmp_path):
    image_folder(tmp_path, 1, (31, 200))
    image_folder(tmp_path / "more", 1, (300, 64), seed=1)
    (tmp_path / "more" / "000.png").rename(tmp_path / "001.png")
    assert tiny_table(model, tmp_path, OPTIONS).images == 2


def test_an_interrupted_calibration_resumes(model, tmp_path):
    """At the last multiple of ``SAVE_EVERY``; with the same result as without the interruption."""
    folder = image_folder(tmp_path / "images", SAVE_EVERY + 3, (32, 32))
    options = replace(OPTIONS, size=(32, 32))
    images, path = list_images(folder), tmp_path / "state"
    with pytest.raises(KeyboardInterrupt):
        calibrate(
            model, INFO, images, options, checkpoint=path, monitor=Interrupted(SAVE_EVERY + 2)
        )
    whole = calibrate(model, INFO, images, options)
    monitor = RecordingMonitor()
    assert calibrate(model, INFO, images, options, checkpoint=path, monitor=monitor) == whole
    assert monitor.reports["calibrating"] == [*range(SAVE_EVERY, SAVE_EVERY + 4)]
    # A complete state needs no pass, whatever the method; another image list starts again.
    again = replace(options, method="minmax")
    monitor = RecordingMonitor()
    calibrate(model, INFO, images, again, checkpoint=path, monitor=monitor)
    assert monitor.reports["calibrating"] == [len(images)]
    monitor = RecordingMonitor()
    calibrate(model, INFO, images.subset(3), options, checkpoint=path, monitor=monitor)
    assert monitor.reports["calibrating"] == [0, 1, 2, 3]


def test_a_file_is_calibrated_and_its_checkpoint_removed(model, folder, table, tmp_path):
    onnx.save(model, tmp_path / "model.onnx")
    out = tmp_path / "out" / "t.json"
    out.parent.mkdir()
    images = list_images(folder)
    with pytest.raises(KeyboardInterrupt):
        calibrate_file(tmp_path / "model.onnx", images, out, OPTIONS, monitor=Interrupted(3))
    with pytest.raises(UsageError, match="unknown method"):
        calibrate_file(tmp_path / "model.onnx", images, out, replace(OPTIONS, method="best"))
    assert calibrate_file(tmp_path / "model.onnx", images, out, OPTIONS) == table
    assert read_table(out) == table
    assert list(out.parent.iterdir()) == [out] and not checkpoint_path(out).exists()
    with pytest.raises(UsageError, match="size 8x8"):
        calibrate_file(tmp_path / "model.onnx", images, out, replace(OPTIONS, size=(8, 8)))


def test_an_unreadable_file_is_skipped_and_many_are_an_error(model, tmp_path):
    image_folder(tmp_path, 20, (32, 32))
    options = replace(OPTIONS, size=(32, 32))
    (tmp_path / "zy.jpg").write_bytes(b"no picture")
    monitor = RecordingMonitor()
    table = calibrate(model, INFO, list_images(tmp_path), options, monitor=monitor)
    assert table.images == 20 and table.skipped == ("zy.jpg",)
    assert any("21 calibration images" in w for w in monitor.warnings)
    assert any("zy.jpg: not a readable image, skipped" in w for w in monitor.warnings)
    (tmp_path / "zz.jpg").write_bytes(b"no picture")
    with pytest.raises(
        LcTrtError, match="2 of 22 images are unreadable, more than 5%; the last is zz"
    ):
        calibrate(model, INFO, list_images(tmp_path), options)


def test_a_tensor_that_no_pixel_reached_is_named(model, folder):
    with pytest.raises(LcTrtError, match=r"tensor 'stage2/.*no pixel of any image reached it"):
        tiny_table(model, folder, replace(OPTIONS, rho=(0.0, 0.0)))


def test_a_tensor_that_is_nan_is_named(model, folder):
    broken = onnx.ModelProto()
    broken.CopyFrom(model)
    tensor = next(t for t in broken.graph.initializer if t.name == "stage1/1/weight")
    value = np.full(tuple(tensor.dims), np.nan, np.float32)
    tensor.CopyFrom(numpy_helper.from_array(value, tensor.name))
    with pytest.raises(LcTrtError, match=r"tensor 'stage1/1/relu' is NaN or infinite on .*000.png"):
        tiny_table(broken, folder, OPTIONS)
