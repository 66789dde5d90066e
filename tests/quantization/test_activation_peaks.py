"""Largest magnitudes against NumPy, and the tensors beyond FP16."""

from __future__ import annotations

import numpy as np
import pytest
from compilation import lowered, lowered_for_tensorrt
from onnx import TensorProto, helper, numpy_helper
from tiny_networks import INFO, frames, tiny_model

from lc_trt.quantization.activation_collector import TensorReader
from lc_trt.quantization.activation_peaks import (
    ALL_STAGES,
    FP16_MAX,
    HEADROOM,
    beyond_fp16,
    find_peaks,
)


@pytest.mark.parametrize("form", ["openvino", "onnxruntime", "tensorrt"])
def test_peaks_are_the_largest_magnitudes_of_every_floating_point_tensor(form):
    if form == "tensorrt":
        model = lowered_for_tensorrt(tiny_model(), INFO.size, 1, "fp32")
    else:
        model = lowered(tiny_model(), form, INFO.size, 1)
    images = [image[None] for image in frames(2, INFO.size)]
    peaks = find_peaks(model, images, cascade=True)
    # OpenVINO's form upsamples in pieces.
    upsampled = "output/resize/value0" if form == "openvino" else "output/resize"
    assert {"stage1/0/conv", "head1/softmax", upsampled} <= set(peaks)
    assert "labels" not in peaks and "stages" not in peaks
    reader = TensorReader(model, list(peaks))
    largest = dict.fromkeys(peaks, 0.0)
    for image in images:
        for name, values in reader.run(image, ALL_STAGES):
            assert values.size, f"every pixel goes through all stages: {name}"
            largest[name] = max(largest[name], float(np.abs(values).max()))
    assert peaks == pytest.approx(largest, rel=1e-4)


def product(weight):
    """A product with a weight and a ReLU, on uint8 [1, 2, 2, 3]."""
    nodes = [
        helper.make_node("Cast", ["image"], ["x"], to=TensorProto.FLOAT),
        helper.make_node("MatMul", ["x", "w"], ["y"], "product"),
        helper.make_node("Relu", ["y"], ["z"]),
    ]
    graph = helper.make_graph(
        nodes, "g",
        [helper.make_tensor_value_info("image", TensorProto.UINT8, [1, 2, 2, 3])],
        [helper.make_tensor_value_info("z", TensorProto.FLOAT, [1, 2, 2, 3])],
        [numpy_helper.from_array((np.eye(3) * weight).astype(np.float32), "w")],
    )  # fmt: skip
    return helper.make_model(graph, opset_imports=[helper.make_opsetid("", 18)], ir_version=10)


@pytest.mark.parametrize(
    ("pixel", "weight", "expected"),
    [
        (1, FP16_MAX / HEADROOM, {}),
        (1, FP16_MAX, {"y": "reaches 65504 on", "z": "reaches 65504 on"}),
        (200, -1000.0, {"y": "reaches 200000 on the images, FP16 ends at 65504"}),
        (0, 1e6, {"y": "a weight reaches 1e+06, FP16 ends at 65504"}),
        (200, 3e38, {"y": "a weight reaches 3e+38", "z": "reaches inf on"}),
    ],
)  # fmt: skip
def test_tensors_beyond_fp16_are_named_with_a_reason(pixel, weight, expected):
    model = product(weight)
    images = [np.full((1, 2, 2, 3), value, np.uint8) for value in (0, pixel)]
    reasons = dict(beyond_fp16(model, find_peaks(model, images, cascade=False)))
    assert list(reasons) == list(expected)
    assert all(reasons[name].startswith(start) for name, start in expected.items())
