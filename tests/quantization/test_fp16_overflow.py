"""FP16 builds: what goes beyond its range is found on images, kept in FP32 and named."""

from __future__ import annotations

import cv2
import numpy as np
import onnx
import openvino
import pytest
from compilation import lowered, lowered_for_tensorrt
from int8_cases import image_folder
from onnx import numpy_helper
from precisions import executed
from tiny_networks import INFO, frames, run, session, tiny_model

import lc_trt
from lc_trt.backends.load import open_onnx
from lc_trt.backends.registry import compile_options
from lc_trt.builder.build import build
from lc_trt.bundle.sections import Fp16Calibration
from lc_trt.errors import LcTrtError, UsageError
from lc_trt.quantization.fp16_overflow import SAMPLES, find_overflow
from lc_trt.utils.progress import ProgressMonitor

RHO = (0.5, 0.5)
FACTOR = 8e4  # the largest weight is still one of FP16
# The first of each pair makes values that the second reads, and nobody else does.
PAIRS = {
    "stage1/1": "stage1/2",
    "stage2/0/branches/branch1/0": "stage2/0/branches/branch1/1",
}


class Recorder(ProgressMonitor):
    def __init__(self):
        self.warnings, self.phases = [], []

    def start(self, phase, steps):
        self.phases.append((phase, steps))

    def warn(self, text):
        self.warnings.append(text)


@pytest.fixture(scope="module")
def model():
    """The tiny network with values far beyond FP16 in two places; its results are the same."""
    changed = tiny_model()
    tensors = {t.name: t for t in changed.graph.initializer}

    def scale(name, factor):
        value = numpy_helper.to_array(tensors[name]) * np.float32(factor)
        tensors[name].CopyFrom(numpy_helper.from_array(value, name))

    for first, second in PAIRS.items():
        scale(f"{first}/bn_scale", FACTOR)
        scale(f"{first}/bn_shift", FACTOR)
        scale(f"{second}/weight", 1 / FACTOR)
    return changed


@pytest.fixture(scope="module")
def photos(tmp_path_factory):
    return image_folder(tmp_path_factory.mktemp("photos"), 3)


def results(found):
    return found["labels"], found["stages"], found["confidence"]


def test_the_case_computes_what_the_tiny_network_does(model):
    images = frames(1)
    expected, found = (run(session(m), images, RHO) for m in (tiny_model(), model))
    for a, b in zip(results(expected), results(found), strict=True):
        np.testing.assert_allclose(a, b, atol=1e-3)


def test_what_goes_beyond_is_found_and_named(model, photos):
    plain = lowered_for_tensorrt(model, INFO.size, 1, "fp32")
    show = Recorder()
    found = find_overflow(plain, INFO, INFO.size, photos, show)
    assert show.phases == [("looking for values beyond FP16", 3)]
    assert {"stage1/1/conv", "stage1/1/relu"} <= set(found.tensors)
    assert any(name.startswith("stage2/0/branches") for name in found.tensors)
    assert len(show.warnings) == 1 and "kept in FP32: stage1/1/conv (" in show.warnings[0]
    assert (found.source, found.images) == ("calibration images", 3)


def test_what_reads_it_is_kept_too_and_nothing_else(model, photos):
    plain = lowered_for_tensorrt(model, INFO.size, 1, "fp32")
    found = find_overflow(plain, INFO, INFO.size, photos, ProgressMonitor())
    half = lowered_for_tensorrt(model, INFO.size, 1, "fp16", fp32_tensors=found.tensors)
    inferred = onnx.shape_inference.infer_shapes(half).graph
    types = {v.name: v.type.tensor_type.elem_type for v in inferred.value_info}
    types |= {t.name: t.data_type for t in half.graph.initializer}
    products = {n.name: types[n.input[1]] for n in half.graph.node if n.op_type == "Conv"}
    full = [name for name, kind in products.items() if kind == onnx.TensorProto.FLOAT]
    assert full == ["stage1/1/conv", "stage1/2/conv"]


def test_nothing_is_kept_where_all_fits():
    source = tiny_model()
    show = Recorder()
    found = find_overflow(lowered(source, "openvino", INFO.size, 1), INFO, INFO.size, None, show)
    assert found == Fp16Calibration("photographs of scikit-image", SAMPLES) and not show.warnings


def test_images_that_cannot_be_used_are_refused(model, photos, tmp_path):
    plain = lowered(model, "openvino", INFO.size, 1)
    with pytest.raises(LcTrtError, match="no images in it"):
        find_overflow(plain, INFO, INFO.size, tmp_path, ProgressMonitor())
    with pytest.raises(UsageError, match=r"--calib .*t.json: FP16 looks .* give their folder"):
        find_overflow(plain, INFO, INFO.size, tmp_path / "t.json", ProgressMonitor())
    image_folder(tmp_path, 1)
    (tmp_path / "broken.jpg").write_bytes(b"no picture")
    with pytest.raises(LcTrtError, match="1 of 2 images are unreadable, more than 5%"):
        find_overflow(plain, INFO, INFO.size, tmp_path, ProgressMonitor())


def test_images_belong_to_precisions_that_need_them(tmp_path):
    onnx.save(tiny_model(), tmp_path / "model.onnx")
    with pytest.raises(UsageError, match="--calib belongs to --int8 and --fp16"):
        build(
            tmp_path / "model.onnx",
            tmp_path / "m.lct",
            compile_options("onnxruntime"),
            overflow_images=tmp_path,
        )


@pytest.fixture
def has_fp16():
    if "FP16" not in openvino.Core().get_property("CPU", "OPTIMIZATION_CAPABILITIES"):
        pytest.skip("this processor has no fp16")


def test_openvino_keeps_it_in_fp32_and_the_manifest_says_so(has_fp16, model, photos, tmp_path):
    onnx.save(model, tmp_path / "model.onnx")
    show = Recorder()
    bundle = build(
        tmp_path / "model.onnx",
        tmp_path / "m.lct",
        compile_options("openvino", precision="fp16"),
        rho=RHO,
        overflow_images=photos,
        monitor=show,
    )
    found = bundle.manifest.calibration.fp16
    assert {"stage1/1/conv", "stage1/1/relu"} <= set(found.tensors) and found.images == 3
    assert all("FP16 ends at 65504" in entry.reason for entry in found.excluded)
    assert any(w.startswith("kept in FP32: stage1/1/conv (reaches") for w in show.warnings)
    with lc_trt.load(bundle.path) as segmenter:
        assert segmenter(cv2.imread(str(photos / "000.png"))).labels.shape == INFO.size
        kinds = executed(segmenter.engine)
        for name in ("stage1/1/conv", "stage1/2/conv"):
            assert ("Convolution", "f32") in kinds[name], name
        assert sum(("Convolution", "f16") in found for found in kinds.values()) > 10
        full = [
            name
            for name, found in kinds.items()
            if ("FullyConnected", "f32") in found and not name.startswith("output/")
        ]
        assert full and all(n.startswith("stage2/0/branches/branch1/") for n in full)


def test_openvino_is_ruined_without(has_fp16, model):
    images = frames(1, seed=3)
    thresholds = np.array(RHO, np.float32)
    plain = lowered(model, "openvino", INFO.size, 1).SerializeToString()
    half = lowered(model, "openvino", INFO.size, 1, None, "fp16").SerializeToString()
    expected = open_onnx("openvino", plain).run(images, thresholds)
    found = open_onnx("openvino", half, precision="fp16").run(images, thresholds)
    assert not np.abs(found.confidence - expected.confidence).mean() < 0.1
