"""Calibration of a tiny network: what it sees, resuming, broken files, the same table again."""

from __future__ import annotations

from dataclasses import replace

import numpy as np
import onnx
import pytest
from int8_cases import RHO, image_folder, tiny_table
from onnx import numpy_helper
from recording_monitor import RecordingMonitor
from tiny_networks import INFO, frames, middle_rho, run, session, tiny_model

from lc_trt.compiler.passes.quantization_plan import make_plan
from lc_trt.compiler.pipeline import prepare
from lc_trt.data import images as image_files
from lc_trt.data.images import list_images
from lc_trt.errors import LcTrtError
from lc_trt.quantization import calibrate as calibrating
from lc_trt.quantization.activation_collector import Observer
from lc_trt.quantization.calibrate import Settings, calibrate
from lc_trt.quantization.checkpoint import Seen, load_seen

SETTINGS = Settings("mse", rho=RHO, threads=1)


@pytest.fixture(scope="module")
def model():
    return tiny_model()


@pytest.fixture(scope="module")
def folder(tmp_path_factory):
    return image_folder(tmp_path_factory.mktemp("images"), 6)


@pytest.fixture(scope="module")
def table(model, folder):
    return tiny_table(model, folder, SETTINGS)


def test_only_rows_that_exist_are_seen(model):
    """As many values as the region has pixels times channels: none of them a zero row."""
    images = frames(1, INFO.size)
    reference = session(model)
    rho = middle_rho(reference, images)
    stages = run(reference, images, rho)["stages"]
    folded = prepare(model, INFO.size, 1)
    plan = make_plan(folded)
    seen = dict(Observer(folded, plan, 1).run(images, rho))
    assert set(seen) == set(plan.tensors)
    for name, values in seen.items():
        part = name.split("/")[0]
        if part in ("stage2", "stage3", "head2"):
            assert values.shape[0] == (stages >= int(part[-1])).sum(), name
        if part == "stage1":
            assert values.ndim == 4
    assert {"stage2", "stage3", "head2"} <= {n.split("/")[0] for n in seen}


def test_ranges_are_those_of_the_activations(model, folder):
    found = tiny_table(model, folder, replace(SETTINGS, method="minmax"))
    folded = prepare(model, INFO.size, 1)
    observer = Observer(folded, make_plan(folded), 1)
    low, high = dict.fromkeys(observer.names, 0.0), dict.fromkeys(observer.names, 0.0)
    for image in frames(6):
        for name, values in observer.run(image[None], RHO):
            low[name] = min(low[name], float(values.min()))
            high[name] = max(high[name], float(values.max()))
    for tensor in found.tensors:
        assert tensor.high == pytest.approx(high[tensor.name], rel=1e-5)
        assert tensor.low == pytest.approx(low[tensor.name], rel=1e-5)
        assert (tensor.smallest, tensor.largest) == (tensor.low, tensor.high)


def test_the_same_images_make_the_same_table(model, folder, table):
    assert tiny_table(model, folder, SETTINGS).dumps() == table.dumps()
    assert table.images == 6 and table.rho == RHO and table.size == INFO.size


def test_images_of_any_size_will_do(model, tmp_path):
    image_folder(tmp_path, 1, (31, 200))
    image_folder(tmp_path / "more", 1, (300, 64), seed=1)
    (tmp_path / "more" / "000.png").rename(tmp_path / "001.png")
    assert tiny_table(model, tmp_path, SETTINGS).images == 2


def test_a_stopped_calibration_goes_on_where_it_was(model, folder, table, tmp_path, monkeypatch):
    monkeypatch.setattr(calibrating, "SAVE_EVERY", 2)
    state = tmp_path / "state"
    real, passes = Observer.run, []

    def stopping(self, image, rho):
        passes.append(1)
        if len(passes) == 5:
            raise KeyboardInterrupt
        return real(self, image, rho)

    monkeypatch.setattr(Observer, "run", stopping)
    with pytest.raises(KeyboardInterrupt):
        calibrate(model, INFO, list_images(folder), SETTINGS, state=state)
    monitor = RecordingMonitor()
    resumed = calibrate(model, INFO, list_images(folder), SETTINGS, state=state, monitor=monitor)
    assert resumed == table and len(passes) == 7
    assert monitor.phases == {"calibrating": (6, 6)}
    # Of other images nothing is taken over.
    passes.clear()
    calibrate(model, INFO, list_images(folder).subset(3), SETTINGS, state=state, monitor=monitor)
    assert len(passes) == 3
    state.write_bytes(b"damaged")
    assert load_seen(state, "key") == Seen("key")


def test_a_broken_file_is_named_and_skipped_and_many_are_an_error(model, tmp_path, monkeypatch):
    image_folder(tmp_path, 2)
    (tmp_path / "zz.jpg").write_bytes(b"no picture")
    monkeypatch.setattr(image_files, "MAX_UNREADABLE", 0.4)
    monitor = RecordingMonitor()
    found = calibrate(model, INFO, list_images(tmp_path), SETTINGS, monitor=monitor)
    assert found.images == 2 and found.skipped == ("zz.jpg",)
    assert any("3 calibration images" in w for w in monitor.warnings)
    assert any("zz.jpg: not a readable image, skipped" in w for w in monitor.warnings)
    monkeypatch.undo()
    with pytest.raises(
        LcTrtError, match="1 of 3 images are unreadable, more than 5%; the last is zz"
    ):
        calibrate(model, INFO, list_images(tmp_path), SETTINGS)


def test_a_part_that_no_pixel_reached_is_named(model, folder):
    with pytest.raises(LcTrtError, match=r"tensor 'stage2/.*no pixel of any image got there"):
        tiny_table(model, folder, replace(SETTINGS, rho=(0.0, 0.0)))


def test_a_network_that_makes_nan_is_named(model, folder):
    broken = onnx.ModelProto()
    broken.CopyFrom(model)
    tensor = next(t for t in broken.graph.initializer if t.name == "stage1/1/weight")
    value = np.full(tuple(tensor.dims), np.nan, np.float32)
    tensor.CopyFrom(numpy_helper.from_array(value, tensor.name))
    with pytest.raises(LcTrtError, match=r"tensor 'stage1/1/relu' is NaN or infinite on .*000.png"):
        tiny_table(broken, folder, SETTINGS)
