"""FP16 builds: tensors beyond its range are found on images, named, and kept in FP32."""

from __future__ import annotations

import cv2
import numpy as np
import onnx
import pytest
from compilation import lowered, lowered_for_tensorrt
from int8_cases import image_folder
from onnx import numpy_helper
from precisions import executed
from recording_monitor import RecordingMonitor
from tiny_networks import INFO, frames, run, session, tiny_model

import lc_trt
from lc_trt.backends.load import open_onnx
from lc_trt.backends.registry import compile_options
from lc_trt.builder.build import build
from lc_trt.bundle.sections import Fp16Calibration
from lc_trt.errors import LcTrtError, UsageError
from lc_trt.quantization.fp16_overflow import SAMPLES, find_overflow
from lc_trt.runtime.engines.openvino import core
from lc_trt.utils.progress import ProgressMonitor

RHO = (0.5, 0.5)
FACTOR = 8e4  # the scaled weights still fit FP16
# Only the second of each pair reads the outputs of the first.
PAIRS = {
    "stage1/1": "stage1/2",
    "stage2/0/branches/branch1/0": "stage2/0/branches/branch1/1",
}


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


def test_the_scaled_network_computes_the_same_results(model):
    images = frames(1)
    expected, outputs = (run(session(m), images, RHO) for m in (tiny_model(), model))
    for name in ("labels", "stages", "confidence"):
        np.testing.assert_allclose(outputs[name], expected[name], atol=1e-3)


def test_tensors_beyond_fp16_are_found_and_named(model, photos):
    plain = lowered_for_tensorrt(model, INFO.size, 1, "fp32")
    monitor = RecordingMonitor()
    calibration = find_overflow(plain, INFO, INFO.size, photos, monitor)
    assert monitor.phases == {"looking for values beyond FP16": (3, 3)}
    assert {"stage1/1/conv", "stage1/1/relu"} <= set(calibration.tensors)
    assert any(name.startswith("stage2/0/branches") for name in calibration.tensors)
    assert len(monitor.warnings) == 1 and "kept in FP32: stage1/1/conv (" in monitor.warnings[0]
    assert (calibration.source, calibration.images) == ("calibration images", 3)


def test_their_consumers_stay_in_fp32_and_nothing_else(model, photos):
    plain = lowered_for_tensorrt(model, INFO.size, 1, "fp32")
    tensors = find_overflow(plain, INFO, INFO.size, photos, ProgressMonitor()).tensors
    half = lowered_for_tensorrt(model, INFO.size, 1, "fp16", fp32_tensors=tensors)
    inferred = onnx.shape_inference.infer_shapes(half).graph
    types = {v.name: v.type.tensor_type.elem_type for v in inferred.value_info}
    types |= {t.name: t.data_type for t in half.graph.initializer}
    products = {n.name: types[n.input[1]] for n in half.graph.node if n.op_type == "Conv"}
    fp32 = [name for name, kind in products.items() if kind == onnx.TensorProto.FLOAT]
    assert fp32 == ["stage1/1/conv", "stage1/2/conv"]


def test_a_network_within_the_range_is_left_alone():
    monitor, network = RecordingMonitor(), lowered(tiny_model(), "openvino", INFO.size, 1)
    calibration = find_overflow(network, INFO, INFO.size, None, monitor)
    assert (
        calibration == Fp16Calibration("photographs of scikit-image", SAMPLES)
        and not monitor.warnings
    )


def test_unusable_images_are_rejected(model, photos, tmp_path):
    plain = lowered(model, "openvino", INFO.size, 1)
    with pytest.raises(LcTrtError, match="no images in it"):
        find_overflow(plain, INFO, INFO.size, tmp_path, ProgressMonitor())
    with pytest.raises(
        UsageError, match=r"--calib .*t.json: FP16 needs images .* give their folder"
    ):
        find_overflow(plain, INFO, INFO.size, tmp_path / "t.json", ProgressMonitor())
    image_folder(tmp_path, 1)
    (tmp_path / "broken.jpg").write_bytes(b"no picture")
    with pytest.raises(LcTrtError, match="1 of 2 images are unreadable, more than 5%"):
        find_overflow(plain, INFO, INFO.size, tmp_path, ProgressMonitor())


def test_images_are_rejected_for_precisions_that_need_none(tmp_path):
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
    if "FP16" not in core().get_property("CPU", "OPTIMIZATION_CAPABILITIES"):
        pytest.skip("this processor has no fp16")


def test_openvino_keeps_them_in_fp32_and_the_manifest_names_them(has_fp16, model, photos, tmp_path):
    onnx.save(model, tmp_path / "model.onnx")
    monitor = RecordingMonitor()
    bundle = build(
        tmp_path / "model.onnx",
        tmp_path / "m.lct",
        compile_options("openvino", precision="fp16"),
        rho=RHO,
        overflow_images=photos,
        monitor=monitor,
    )
    calibration = bundle.manifest.calibration.fp16
    assert {"stage1/1/conv", "stage1/1/relu"} <= set(calibration.tensors)
    assert calibration.images == 3
    assert all("FP16 ends at 65504" in entry.reason for entry in calibration.excluded)
    assert any(w.startswith("kept in FP32: stage1/1/conv (reaches") for w in monitor.warnings)
    with lc_trt.load(bundle.path) as segmenter:
        assert segmenter(cv2.imread(str(photos / "000.png"))).labels.shape == INFO.size
        kinds = executed(segmenter.engine)
        for name in ("stage1/1/conv", "stage1/2/conv"):
            assert ("Convolution", "f32") in kinds[name], name
        assert sum(("Convolution", "f16") in kernels for kernels in kinds.values()) > 10
        fp32 = [
            name
            for name, kernels in kinds.items()
            if ("FullyConnected", "f32") in kernels and not name.startswith("output/")
        ]
        assert fp32 and all(n.startswith("stage2/0/branches/branch1/") for n in fp32)


def test_openvino_computes_garbage_without(has_fp16, model):
    images = frames(1, seed=3)
    thresholds = np.array(RHO, np.float32)
    plain = lowered(model, "openvino", INFO.size, 1).SerializeToString()
    half = lowered(model, "openvino", INFO.size, 1, None, "fp16").SerializeToString()
    expected = open_onnx("openvino", plain).run(images, thresholds)
    output = open_onnx("openvino", half, precision="fp16").run(images, thresholds)
    # NaN is not less than 0.1 either.
    assert not np.abs(output.confidence - expected.confidence).mean() < 0.1
