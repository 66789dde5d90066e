"""TensorRT for RTX builds plans of cascades on encoders, with regions at two strides, on a CPU."""

from __future__ import annotations

import logging
from collections import Counter

import onnx
import pytest
from compilation import lowered_for_tensorrt
from lowered_int8 import exchange_ranges
from rtx_plans import CAPABILITIES, SIZE, created_plugins, regions
from tiny_encoder import tiny_encoder_cascade
from tiny_networks import CLASSES, INFO, MEAN, STD, frames

from lc_trt.bundle.sections import Profile
from lc_trt.compiler.options import Quantization
from lc_trt.compiler.pass_manager import run_passes
from lc_trt.compiler.passes.to_dense import ToDense
from lc_trt.ir.export import export_cascade
from lc_trt.model.exits import FITTED, RULES
from lc_trt.model.neighbours import Neighbours
from lc_trt.model.network import NetworkSpec

# Compiles the library, unless an earlier test did.
pytestmark = pytest.mark.slow

ANY = {"batch": Profile(1, 2, 4), "size": Profile((32, 48), SIZE, (64, 96))}


@pytest.mark.parametrize("neighbours", Neighbours)
@pytest.mark.parametrize("precision", ["fp16", "bf16", "fp32", "int8"])
@pytest.mark.parametrize("symbolic", [False, True])
def test_each_region_operator_is_our_plugin(build, neighbours, precision, symbolic, caplog):
    source = export_cascade(tiny_encoder_cascade(CLASSES, neighbours=neighbours), INFO, MEAN, STD)
    how = Quantization(exchange_ranges(source, frames(1, SIZE))) if precision == "int8" else None
    fixed = (None, None) if symbolic else (SIZE, 1)
    model = lowered_for_tensorrt(source, *fixed, "fp16" if how else precision, how)
    with caplog.at_level(logging.DEBUG, "lc_trt.tensorrt"):
        plan = build(model, "8.9", **(ANY if symbolic else {}))
    assert len(plan.content) > 10_000
    assert created_plugins(caplog.messages) == [node.op_type for node in regions(model)]


@pytest.mark.parametrize("precision", ["fp16", "bf16", "fp32", "int8"])
def test_its_dense_form_builds(build, precision):
    """Parents are repeated in the precision of what reads them."""
    source = export_cascade(tiny_encoder_cascade(CLASSES), INFO, MEAN, STD)
    how = Quantization(exchange_ranges(source, frames(1, SIZE))) if precision == "int8" else None
    dense = run_passes(source, [ToDense()])
    model = lowered_for_tensorrt(dense, SIZE, 1, "fp16" if how else precision, how)
    assert len(build(model, "8.9").content) > 10_000


@pytest.mark.parametrize("rule", RULES)
@pytest.mark.parametrize("precision", ["fp16", "int8"])
def test_any_exit_rule_builds(build, rule, precision):
    fitted = (rule,) if rule in FITTED else ()
    model = tiny_encoder_cascade(CLASSES, exit_rule=rule, fitted=fitted)
    source = export_cascade(model, INFO, MEAN, STD)
    how = Quantization(exchange_ranges(source, frames(1, SIZE))) if precision == "int8" else None
    for fixed, more in (((SIZE, 1), {}), ((None, None), ANY)):
        plan = build(lowered_for_tensorrt(source, *fixed, "fp16", how), "8.9", **more)
        assert len(plan.content) > 10_000


@pytest.fixture(scope="module")
def lite2() -> onnx.ModelProto:
    """The largest encoder of our own code, with random weights."""
    return export_cascade(
        NetworkSpec(encoder="tf_efficientnet_lite2").build(CLASSES), INFO, MEAN, STD
    )


@pytest.mark.parametrize("capability", CAPABILITIES)
@pytest.mark.parametrize("precision", ["fp16", "fp32", "int8"])
def test_the_largest_encoder_builds(build, lite2, precision, capability, caplog):
    size = (360, 480)
    how = (
        Quantization(exchange_ranges(lite2, frames(1, (96, 128)))) if precision == "int8" else None
    )
    model = lowered_for_tensorrt(lite2, size, 1, "fp16" if how else precision, how)
    with caplog.at_level(logging.DEBUG, "lc_trt.tensorrt"):
        plan = build(model, capability, size=Profile.of(size))
    assert len(plan.content) > 5_000_000
    created = Counter(created_plugins(caplog.messages))
    assert (created["RegionConv"], created["RegionQuantize"]) == (13, int(precision == "int8"))
    assert sum(created.values()) == 21 + created["RegionQuantize"]
