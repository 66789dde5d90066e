"""INT8 for TensorRT, in ONNX Runtime: against the network that is quantised operator by operator,
against FP32, and against the INT8 form of the CPU.
"""

from __future__ import annotations

import numpy as np
import onnx
import pytest
from compilation import lowered, lowered_for_tensorrt
from hypothesis import Phase, given, settings
from hypothesis import strategies as st
from lowered_int8 import EMPTY, FULL, SIZE, exchange_ranges, signed_int8
from tiny_encoder import tiny_encoder_cascade
from tiny_networks import (
    CLASSES,
    INFO,
    MEAN,
    STD,
    frames,
    middle_rho,
    run,
    session,
    tiny_encoder_model,
)

from lc_trt.compiler.options import Quantization
from lc_trt.compiler.pass_manager import run_passes
from lc_trt.compiler.passes.quantization_plan import make_plan, quantised_inputs
from lc_trt.compiler.passes.to_dense import ToDense
from lc_trt.compiler.pipeline import prepare
from lc_trt.errors import LcTrtError
from lc_trt.ir.export import export_cascade
from lc_trt.ir.interface import DOMAIN
from lc_trt.ir.metadata import read_info
from lc_trt.model.neighbours import Neighbours
from lc_trt.quantization.calibration_table import read_table
from lc_trt.video.sample_frames import check_samples


# Not shrunk: an example takes a second and already names network and size.
@settings(max_examples=5, phases=(Phase.generate,))
@given(
    form=st.sampled_from(["plain", "aspp"]),
    batch=st.sampled_from([1, 2]),
    size=st.sampled_from([(48, 72), SIZE, (33, 40)]),
    symbolic=st.booleans(),
)
def test_the_lowered_network_computes_the_quantised_one(tiny, form, batch, size, symbolic):
    """Codes, scales and residuals in plugins give what Q and DQ around each operator give."""
    model, ranges, _, reference = tiny("irnet", form)
    fixed = (None, None) if symbolic else (size, batch)
    lowered = session(lowered_for_tensorrt(model, *fixed, "fp32", Quantization(ranges)))
    images = frames(batch, size, seed=5)
    for rho in (EMPTY, FULL, (1.0, -1.0), middle_rho(reference, images)):
        expected, outputs = run(reference, images, rho), run(lowered, images, rho)
        for name in ("labels", "stages"):
            assert (outputs[name] == expected[name]).mean() > 0.995
        same = outputs["stages"] == expected["stages"]
        # A value half-way between two codes may be rounded to either, so not all are equal.
        assert np.abs(outputs["confidence"] - expected["confidence"])[same].mean() < 1e-3


@pytest.mark.parametrize("precision", ["fp32", "fp16"])
@pytest.mark.parametrize("network", [("irnet", "plain"), ("inception", "aspp")], ids="-".join)
def test_it_stays_near_fp32(tiny, network, precision):
    model, ranges, full, _ = tiny(*network)
    lowered = session(lowered_for_tensorrt(model, SIZE, 2, precision, Quantization(ranges)))
    images = frames(2, SIZE, seed=5)
    for rho in (EMPTY, FULL, (1.0, -1.0)):
        expected, outputs = run(full, images, rho), run(lowered, images, rho)
        assert (outputs["labels"] == expected["labels"]).mean() > 0.93
        assert np.abs(outputs["confidence"] - expected["confidence"]).mean() < 0.03


@pytest.mark.parametrize("symbolic", [False, True])
@pytest.mark.parametrize("trunk", ["inception", "encoder"])
def test_a_dense_network_takes_the_cascade_s_ranges(tiny, symbolic, trunk):
    """Average pooling, maxima and concatenations on the map, and no rows."""
    if trunk == "encoder":
        model = tiny_encoder_model()
        ranges = exchange_ranges(model, frames(2, SIZE))
    else:
        model, ranges, *_ = tiny("inception", "aspp")
    dense, how = run_passes(model, [ToDense()]), Quantization(ranges)
    fixed = (None, None) if symbolic else (SIZE, 2)
    made = lowered_for_tensorrt(dense, *fixed, "fp32", how)
    assert not any(n.domain == DOMAIN for n in made.graph.node)
    reference = signed_int8(prepare(dense, SIZE, 2), ranges)
    images = frames(2, SIZE, seed=5)
    expected, outputs = run(session(reference), images, None), run(session(made), images, None)
    assert (outputs["labels"] == expected["labels"]).mean() > 0.995
    assert np.abs(outputs["confidence"] - expected["confidence"]).mean() < 1e-3


def test_keeping_all_layers_gives_the_network_without_int8(tiny):
    model, ranges, *_ = tiny("irnet", "plain")
    plan = make_plan(prepare(model, SIZE, 1))
    kept = lowered_for_tensorrt(model, SIZE, 1, "fp16", Quantization(ranges, plan.convolutions))
    plain = lowered_for_tensorrt(model, SIZE, 1, "fp16")
    assert kept.SerializeToString(deterministic=True) == plain.SerializeToString(deterministic=True)


def test_a_tensor_without_a_range_is_named(tiny):
    model, ranges, *_ = tiny("irnet", "plain")
    folded = prepare(model, SIZE, 1)
    plan = make_plan(folded)
    needed = quantised_inputs(folded, plan, ())
    for stage in ("stage1", "stage2"):  # on the map, and of rows
        gone = [name for name in plan.tensors if name in needed and name.startswith(stage)][-1]
        some = {name: value for name, value in ranges.items() if name != gone}
        with pytest.raises(LcTrtError, match="the calibration table has no range"):
            lowered_for_tensorrt(model, SIZE, 1, "fp32", Quantization(some))


@pytest.mark.parametrize("neighbours", Neighbours)
@pytest.mark.parametrize("symbolic", [False, True])
def test_a_cascade_on_an_encoder_computes_the_quantised_one(neighbours, symbolic):
    """Depthwise convolutions, dense maps that are read at a region's pixels, and two strides."""
    model = export_cascade(tiny_encoder_cascade(CLASSES, neighbours=neighbours), INFO, MEAN, STD)
    images = frames(2, SIZE, seed=5)
    ranges = exchange_ranges(model, frames(2, SIZE))
    reference = session(signed_int8(prepare(model, SIZE, 2), ranges))
    fixed = (None, None) if symbolic else (SIZE, 2)
    lowered = session(lowered_for_tensorrt(model, *fixed, "fp32", Quantization(ranges)))
    for rho in (EMPTY, FULL, (1.0, -1.0), middle_rho(reference, images)):
        expected, outputs = run(reference, images, rho), run(lowered, images, rho)
        for name in ("labels", "stages"):
            assert (outputs[name] == expected[name]).mean() > 0.99
        same = outputs["stages"] == expected["stages"]
        assert np.abs(outputs["confidence"] - expected["confidence"])[same].mean() < 5e-3


@pytest.mark.slow
def test_the_trained_network_agrees_with_fp32_and_with_the_cpu_s_int8(repository):
    """On photographs unlike the calibration images, at both operating points."""
    source = onnx.load(repository / "models" / "irnet-small-camvid" / "model.onnx")
    ranges = read_table(repository / "calib" / "irnet-small-camvid.json").ranges
    info, size, how = read_info(source), (180, 240), Quantization(ranges)
    full = session(source)
    others = {
        "tensorrt": session(lowered_for_tensorrt(source, size, 1, "fp16", how)),
        "cpu": session(lowered(source, "onnxruntime", size, 1, how)),
    }
    equal = {name: [] for name in others}
    for image in check_samples(None, 2, size).frames:
        for rho in (info.default_rho, info.fast_rho):
            expected = run(full, image[None], rho)
            for name, other in others.items():
                outputs = run(other, image[None], rho)
                equal[name].append(
                    [(outputs[what] == expected[what]).mean() for what in ("labels", "stages")]
                )
    labels, stages = np.array([np.mean(equal[name], axis=0) for name in others]).T
    assert labels.min() > 0.965 and stages.min() > 0.98
    # int8 has half the codes for values from 0 up that uint8 has.
    assert labels[1] - labels[0] < 0.02
