"""The model lowered for TensorRT against its exchange model, both in ONNX Runtime."""

from __future__ import annotations

from functools import cache
from types import SimpleNamespace

import numpy as np
import onnx
import pytest
from compilation import lowered_for_tensorrt
from hypothesis import Phase, given, settings
from hypothesis import strategies as st
from region_graphs import views
from tiny_encoder import tiny_encoder_cascade
from tiny_networks import CLASSES, INFO, MEAN, STD, frames, run, session, tiny_cascade

from lc_trt.compiler.frontend.wrap_dense import Normalisation, wrap_plain
from lc_trt.compiler.pass_manager import run_passes
from lc_trt.compiler.passes.to_dense import ToDense
from lc_trt.ir.export import export_cascade
from lc_trt.ir.interface import DOMAIN
from lc_trt.model.exits import FITTED, RULES
from lc_trt.model.neighbours import Neighbours
from lc_trt.runtime.compare_engines import separating_rho

SIZE = (52, 75)
EMPTY, FULL = (-1.0, -1.0), (1.0, 1.0)
TRUNKS = [("irnet", "plain"), ("irnet", "aspp"), ("inception", "aspp")]
ENCODERS = [("encoder", neighbours.value) for neighbours in Neighbours]


@cache
def reference(trunk, form, seed):
    """A tiny cascade, and ONNX Runtime on it; on an encoder, the form says what regions read."""
    if trunk == "encoder":
        model = tiny_encoder_cascade(CLASSES, seed, neighbours=Neighbours(form))
    else:
        model = tiny_cascade(trunk, form, seed)
    source = export_cascade(model, INFO, MEAN, STD)
    return source, session(source)


def a_partial_region(before, images):
    """Thresholds far from any confidence, so that rounding does not matter."""
    engine = SimpleNamespace(run=lambda x, rho: SimpleNamespace(**run(before, x, tuple(rho))))
    return separating_rho(engine, images)


def assert_same(expected, outputs, labels=1.0, confidence=1e-4):
    assert {k: (v.dtype, v.shape) for k, v in outputs.items()} == {
        k: (v.dtype, v.shape) for k, v in expected.items()
    }
    assert (outputs["labels"] == expected["labels"]).mean() >= labels
    np.testing.assert_allclose(outputs["confidence"], expected["confidence"], atol=confidence)
    if "stages" in expected:
        assert np.array_equal(outputs["stages"], expected["stages"])


# Not shrunk: an example takes a second and already names network and size.
@settings(max_examples=8, phases=(Phase.generate,))
@given(
    network=st.sampled_from([*TRUNKS, *ENCODERS]),
    seed=st.integers(0, 1),
    batch=st.sampled_from([1, 2]),
    size=st.sampled_from([(48, 72), SIZE, (33, 40)]),
    symbolic=st.booleans(),
)
def test_a_lowered_cascade_is_the_cascade(network, seed, batch, size, symbolic):
    source, before = reference(*network, seed)
    fixed = (None, None) if symbolic else (size, batch)
    after = session(lowered_for_tensorrt(source, *fixed, "fp32"))
    images = frames(batch, size)
    rhos = [EMPTY, FULL, (1.0, -1.0), (-1.0, 1.0), a_partial_region(before, images)]
    for rho in rhos:
        assert_same(run(before, images, rho), run(after, images, rho))


@pytest.mark.parametrize("network", ENCODERS, ids="-".join)
@pytest.mark.parametrize("symbolic", [False, True])
def test_a_lowered_cascade_on_an_encoder_in_fp32_and_fp16(network, symbolic):
    """Regions at two strides, and a height and width that are multiples of neither."""
    source, before = reference(*network, 0)
    fixed = (None, None) if symbolic else (SIZE, 2)
    full, half = (session(lowered_for_tensorrt(source, *fixed, p)) for p in ("fp32", "fp16"))
    images = frames(2, SIZE)
    for rho in [EMPTY, FULL, (1.0, -1.0), a_partial_region(before, images)]:
        expected = run(before, images, rho)
        assert_same(expected, run(full, images, rho))
        assert_same(expected, run(half, images, rho), labels=0.99, confidence=0.02)


@pytest.mark.parametrize("rule", RULES)
@pytest.mark.parametrize("precision", ["fp32", "fp16"])
def test_a_cascade_exits_by_any_rule(rule, precision):
    fitted = (rule,) if rule in FITTED else ()
    model = tiny_encoder_cascade(CLASSES, exit_rule=rule, fitted=fitted)
    source = export_cascade(model, INFO, MEAN, STD)
    before, after = session(source), session(lowered_for_tensorrt(source, SIZE, 2, precision))
    images = frames(2, SIZE)
    for rho in [EMPTY, FULL, a_partial_region(before, images)]:
        expected, outputs = run(before, images, rho), run(after, images, rho)
        assert (outputs["stages"] == expected["stages"]).mean() >= (
            1 if precision == "fp32" else 0.98
        )
        assert (outputs["labels"] == expected["labels"]).mean() > 0.99


@pytest.mark.parametrize(
    "network", [("irnet", "plain"), ("inception", "aspp"), *ENCODERS], ids="-".join
)
def test_only_region_operators_touch_rows(network):
    source, _ = reference(*network, 0)
    model = lowered_for_tensorrt(source, SIZE, 1, "fp32")
    rows = {
        n.output[0] for n in model.graph.node if n.domain == DOMAIN and n.op_type != "RegionScatter"
    }
    readers = [n for n in model.graph.node if rows & set(n.input)]
    assert readers and all(n.domain == DOMAIN for n in readers)
    assert {f.overload for f in model.functions if f.name == "RegionConv"} == {
        n.overload for n in model.graph.node if n.op_type == "RegionConv"
    }


@pytest.fixture(scope="module")
def irnet_small(repository):
    return onnx.load(repository / "models" / "irnet-small-camvid" / "model.onnx")


@pytest.fixture(scope="module")
def irnet_small_half(irnet_small):
    return lowered_for_tensorrt(irnet_small, (64, 96), None, "fp16")


@pytest.mark.slow
def test_the_trained_network_in_fp32_and_fp16(irnet_small, irnet_small_half):
    size = (64, 96)
    images, before = frames(1, size), session(irnet_small)
    rhos = [EMPTY, FULL, a_partial_region(before, images)]
    full = session(lowered_for_tensorrt(irnet_small, size, 1, "fp32"))
    half = session(irnet_small_half)
    for rho in rhos:
        expected = run(before, images, rho)
        assert_same(expected, run(full, images, rho))
        assert_same(expected, run(half, images, rho), labels=0.99, confidence=0.01)


def test_merging_adds_no_multiplications_to_the_trained_network(irnet_small, irnet_small_half):
    source, model = (views(m, "RegionConv") for m in (irnet_small, irnet_small_half))
    # The first 1x1s of ten blocks and of five are one, so are three before stage 3; there five
    # projections go onto a residual stream of four parts.
    assert len(model) == len(source) - 15 - 2 + 3 * 5

    def multiplications(model, convs):
        dims = {t.name: t.dims for t in model.graph.initializer}
        stored = {cast.output("output"): cast.input("input") for cast in views(model, "Cast")}
        weights = [conv.input("weight") for conv in convs]
        return sum(np.prod(dims[stored.get(name, name)]) for name in weights)

    expected = multiplications(irnet_small, source)
    assert multiplications(irnet_small_half, model) == expected


@pytest.mark.parametrize("precision", ["fp32", "fp16"])
@pytest.mark.parametrize("symbolic", [False, True])
@pytest.mark.parametrize("network", [("inception", "aspp"), ("encoder", "exact")], ids="-".join)
def test_a_dense_network(network, precision, symbolic):
    source = run_passes(reference(*network, 0)[0], [ToDense()])
    fixed = (None, None) if symbolic else (SIZE, 2)
    after = session(lowered_for_tensorrt(source, *fixed, precision))
    images = frames(2, SIZE)
    expected = run(session(source), images, None)
    tolerance = {} if precision == "fp32" else {"labels": 0.99, "confidence": 0.02}
    assert_same(expected, run(after, images, None), **tolerance)


@pytest.mark.parametrize("stored", [np.float32, np.float16])
@pytest.mark.parametrize("precision", ["fp32", "fp16"])
def test_a_wrapped_plain_network(stored, precision):
    rng = np.random.default_rng(0)
    weight = onnx.numpy_helper.from_array(rng.normal(size=(3, 3, 3, 3)).astype(stored), "w")
    kind = weight.data_type
    graph = onnx.helper.make_graph(
        [onnx.helper.make_node("Conv", ["pixels", "w"], ["logits"], strides=[4, 4])],
        "plain",
        [onnx.helper.make_tensor_value_info("pixels", kind, ["n", 3, "h", "w"])],
        [onnx.helper.make_tensor_value_info("logits", kind, ["n", 3, None, None])],
        [weight],
    )
    opsets = [onnx.helper.make_opsetid("", 18)]
    plain = onnx.helper.make_model(graph, opset_imports=opsets, ir_version=8)
    source = wrap_plain(plain, "plain.onnx", SIZE, Normalisation(), None)
    images = frames(2, SIZE)
    after = session(lowered_for_tensorrt(source, SIZE, 2, precision))
    expected = run(session(source), images, None)
    assert_same(expected, run(after, images, None), labels=0.99, confidence=0.01)
