"""What OpenVINO computes in FP32 in a bf16 or FP16 network: read from what it executed."""

from __future__ import annotations

import numpy as np
import onnx
import pytest
from compilation import lowered
from onnx import TensorProto, helper, numpy_helper
from precisions import executed
from tiny_networks import INFO, frames, run, session, tiny_encoder_model, tiny_model

from lc_trt.backends.load import open_onnx
from lc_trt.compiler.pass_manager import run_passes
from lc_trt.compiler.passes.mixed_precision import NoteFp32
from lc_trt.compiler.passes.to_dense import ToDense
from lc_trt.compiler.pipeline import prepare
from lc_trt.compiler.precision import Precision
from lc_trt.errors import LcTrtError
from lc_trt.runtime.engines.openvino import core
from lc_trt.runtime.engines.openvino_precision import pin

SHORT = {"bf16": "bf16", "fp16": "f16"}
PRECISIONS = [
    pytest.param(
        name,
        marks=pytest.mark.skipif(
            name.upper() not in core().get_property("CPU", "OPTIMIZATION_CAPABILITIES"),
            reason=f"this processor has no {name}",
        ),
    )
    for name in SHORT
]


@pytest.mark.parametrize("precision", PRECISIONS)
@pytest.mark.parametrize("form", ["irnet", "inception", "dense"])
def test_what_decides_is_in_fp32_and_products_are_not(form, precision):
    source = tiny_model("irnet") if form == "dense" else tiny_model(form, "aspp")
    source = run_passes(source, [ToDense()]) if form == "dense" else source
    compiled = lowered(source, "openvino", INFO.size, 1, None, precision)
    engine = open_onnx("openvino", compiled.SerializeToString(), precision=precision)
    kernels = {kernel for found in executed(engine).values() for kernel in found}
    assert {p for k, p in kernels if k == "Softmax"} == {"f32"}
    assert {p for k, p in kernels if k == "Convolution"} == {SHORT[precision]}
    named = executed(engine)
    confidences = [n for n in named if n.endswith("/confidence") and n.startswith("head")]
    assert len(confidences) == (1 if form == "dense" else 3)
    upsampling = [n for n in named if n.startswith("output/resize/") and "/" not in n[14:]]
    assert {"output/resize/both", "output/resize/wide", "output/resize/value0"} <= set(upsampling)
    # Comparisons of confidences with thresholds, and of classes; what is no number has no half.
    compared = [n for n in named if n.endswith("/sure") or n.startswith("output/argmax/")]
    assert len(compared) > (4 if form == "dense" else 6)
    for name in (*upsampling, *compared):
        assert {p for _, p in named[name]}.isdisjoint(SHORT.values()), name
    assert all(p == "f32" for n in confidences for _, p in named[n])
    images = frames(1, INFO.size)
    rho = None if form == "dense" else (0.5, 0.5)
    thresholds = None if rho is None else np.array(rho, np.float32)
    expected = run(session(prepare(source, INFO.size, 1).encode()), images, rho)
    found = engine.run(images, thresholds)
    assert (found.labels == expected["labels"]).mean() > 0.8


@pytest.mark.parametrize("precision", PRECISIONS)
@pytest.mark.parametrize("dense", [False, True])
def test_in_a_cascade_on_an_encoder_too(dense, precision):
    """Also a Softmax that no output reads but through a Resize; parents are only repeated."""
    source = run_passes(tiny_encoder_model(), [ToDense()] if dense else [])
    compiled = lowered(source, "openvino", INFO.size, 1, None, precision)
    named = executed(open_onnx("openvino", compiled.SerializeToString(), precision=precision))
    softmaxes = {n: p for n, found in named.items() for k, p in found if k == "Softmax"}
    assert softmaxes == {f"head{i}/softmax": "f32" for i in ((3,) if dense else (1, 2, 3))}
    resized = {n: p for n, found in named.items() for k, p in found if k == "Interpolate"}
    parents = {"stage3/parent/enter/dense", "head3/parent/dense"}
    assert parents & resized.keys() == (parents if dense else set())
    assert {resized.pop(name) for name in parents & resized.keys()} <= {SHORT[precision]}
    assert set(resized.values()) == {"f32"}


@pytest.mark.parametrize("precision", PRECISIONS)
def test_a_model_that_does_not_say_is_refused(precision):
    plain = lowered(tiny_model(), "openvino", INFO.size, 1).SerializeToString()
    with pytest.raises(
        LcTrtError, match=rf"not compiled for {precision}; build it: .* --{precision}"
    ):
        open_onnx("openvino", plain, precision=precision)


@pytest.mark.parametrize("precision", PRECISIONS)
def test_a_resize_that_stays_one_is_in_fp32_too(precision):
    """Of two images a pass: other operators stand for it only where there is one."""
    compiled = lowered(tiny_model(), "openvino", INFO.size, 2, None, precision)
    engine = open_onnx("openvino", compiled.SerializeToString(), precision=precision)
    kernels = {kernel for found in executed(engine).values() for kernel in found}
    assert {p for k, p in kernels if k == "Interpolate"} == {"f32"}


def test_every_part_of_an_operator_is_marked():
    """ONNX's Conv with a bias is two operators of OpenVINO's; only the second has a name."""
    node = helper.make_node("Conv", ["x", "w", "b"], ["y"], "conv")
    relu = helper.make_node("Relu", ["y"], ["z"], "relu")
    graph = helper.make_graph(
        [node, relu], "g",
        [helper.make_tensor_value_info("x", TensorProto.FLOAT, [1, 2, 4, 4])],
        [helper.make_tensor_value_info("z", TensorProto.FLOAT, [1, 2, 4, 4])],
        [
            numpy_helper.from_array(np.ones((2, 2, 1, 1), np.float32), "w"),
            numpy_helper.from_array(np.ones(2, np.float32), "b"),
        ],
    )  # fmt: skip
    model = helper.make_model(graph, opset_imports=[helper.make_opsetid("", 18)], ir_version=10)
    noted = run_passes(model, [NoteFp32(Precision.FP16, ["y"])])
    assert '["y", "z"]' in [entry.value for entry in noted.metadata_props]
    pinned = pin(core(), core().read_model(noted.SerializeToString()))
    # Newer releases read the attribute as one of another name.
    kinds = ("precise", "DisablePrecisionConversion")
    marked = {
        op.get_type_name()
        for op in pinned.get_ops()
        if any(key.startswith(kinds) for key in op.get_rt_info())
    }
    assert {"Convolution", "Add", "Relu"} <= marked
    assert pin(core(), core().read_model(model.SerializeToString())) is None


def test_names_of_what_stays_are_in_the_compiled_model_and_nowhere_else():
    half = lowered(tiny_model(), "openvino", INFO.size, 1, None, "fp16")
    plain = lowered(tiny_model(), "openvino", INFO.size, 1)
    stripped = onnx.ModelProto()
    stripped.CopyFrom(half)
    kept = [e for e in half.metadata_props if e.key != "lc_trt.fp32"]
    assert len(kept) == len(half.metadata_props) - 1
    del stripped.metadata_props[:]
    stripped.metadata_props.extend(kept)
    assert stripped.SerializeToString(deterministic=True) == plain.SerializeToString(
        deterministic=True
    )
