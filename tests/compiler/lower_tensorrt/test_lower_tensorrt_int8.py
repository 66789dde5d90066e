"""INT8 for TensorRT, in ONNX Runtime: against the network that is quantised operator by operator,
against FP32, and against the INT8 form of the CPU.
"""

from __future__ import annotations

from functools import cache

import numpy as np
import onnx
import pytest
from hypothesis import Phase, given, settings
from hypothesis import strategies as st
from int8_cases import image_folder, tiny_table
from onnx import TensorProto
from region_graphs import CHANNELS, feed, region_graph
from tiny_networks import frames, middle_rho, run, session, tiny_model

from lc_trt.compiler.graph import Graph
from lc_trt.compiler.lower_tensorrt import lower_tensorrt
from lc_trt.compiler.pass_manager import run_passes
from lc_trt.compiler.passes.fold_batch_norm import FoldBatchNorm
from lc_trt.compiler.passes.fold_constants import FoldConstants
from lc_trt.compiler.passes.insert_qdq import Quantization, Quantizer
from lc_trt.compiler.passes.quantization_plan import make_plan, quantised_inputs, select_layers
from lc_trt.compiler.passes.to_dense import ToDense
from lc_trt.compiler.pipeline import compile_for_tensorrt, compile_model, prepare
from lc_trt.errors import LcTrtError
from lc_trt.ir.interface import DOMAIN
from lc_trt.ir.metadata import read_info
from lc_trt.quantization.calibration_table import read_table
from lc_trt.video.sample_frames import check_samples

SIZE = (52, 75)
EMPTY, FULL = (-1.0, -1.0), (1.0, 1.0)
INT8, HALF, FLOAT = TensorProto.INT8, TensorProto.FLOAT16, TensorProto.FLOAT


def types_of(model):
    inferred = onnx.shape_inference.infer_shapes(model, strict_mode=True).graph
    values = (*inferred.input, *inferred.output, *inferred.value_info)
    return {v.name: v.type.tensor_type.elem_type for v in values} | {
        t.name: t.data_type for t in model.graph.initializer
    }


def named(model, *op_types):
    return [n for n in model.graph.node if n.op_type in op_types]


def signed_int8(graph, ranges):
    """A folded graph in INT8 with zero points of 0, TensorRT's only form, as a model."""
    plan = make_plan(graph)
    tensors = quantised_inputs(graph, plan, ())
    Quantizer(graph, Quantization(ranges), plan, tensors, signed=True).run()
    return graph.encode()


@pytest.fixture(scope="module")
def tiny(tmp_path_factory):
    """By trunk and head: the model, its ranges, and sessions in FP32 and quantised."""
    images = image_folder(tmp_path_factory.mktemp("images"), 3)

    @cache
    def make(trunk, form):
        model = tiny_model(trunk, form)
        ranges = tiny_table(model, images).ranges
        folded = run_passes(model, [FoldConstants(), FoldBatchNorm()])
        return model, ranges, session(folded), session(signed_int8(Graph(folded), ranges))

    return make


# Unshrunk: an example takes a second, and says by itself which network and size it is.
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
    lowered = session(compile_for_tensorrt(model, *fixed, "fp32", Quantization(ranges)))
    images = frames(batch, size, seed=5)
    for rho in (EMPTY, FULL, (1.0, -1.0), middle_rho(reference, images)):
        expected, found = run(reference, images, rho), run(lowered, images, rho)
        for name in ("labels", "stages"):
            assert (found[name] == expected[name]).mean() > 0.995
        same = found["stages"] == expected["stages"]
        # A value half-way between two codes may be rounded to either, so not all are equal.
        assert np.abs(found["confidence"] - expected["confidence"])[same].mean() < 1e-3


@pytest.mark.parametrize("precision", ["fp32", "fp16"])
@pytest.mark.parametrize("network", [("irnet", "plain"), ("inception", "aspp")], ids="-".join)
def test_it_stays_near_fp32(tiny, network, precision):
    model, ranges, full, _ = tiny(*network)
    lowered = session(compile_for_tensorrt(model, SIZE, 2, precision, Quantization(ranges)))
    images = frames(2, SIZE, seed=5)
    for rho in (EMPTY, FULL, (1.0, -1.0)):
        expected, found = run(full, images, rho), run(lowered, images, rho)
        assert (found["labels"] == expected["labels"]).mean() > 0.93
        assert np.abs(found["confidence"] - expected["confidence"]).mean() < 0.03


@pytest.mark.parametrize("precision", ["fp32", "fp16"])
@pytest.mark.parametrize("network", [("irnet", "plain"), ("inception", "aspp")], ids="-".join)
def test_every_region_convolution_but_the_classifiers_is_int8(tiny, network, precision):
    model, ranges, *_ = tiny(*network)
    made = compile_for_tensorrt(model, SIZE, 1, precision, Quantization(ranges))
    types, floating = types_of(made), HALF if precision == "fp16" else FLOAT
    convs, quantisable = named(made, "RegionConv"), make_plan(prepare(model, SIZE, 1)).convolutions
    integer = [n for n in convs if types[n.input[0]] == INT8]
    assert len(integer) > 20
    for node in convs:
        if node not in integer:
            assert not any(node.name.startswith(name) for name in quantisable)
            assert node.name.startswith("head") and types[node.output[0]] == floating
            continue
        *xs, _rows, _index, _count, weight, scale, bias, residual = node.input
        assert {types[name] for name in (*xs, weight)} == {INT8}
        assert [types[name] for name in (scale, bias)] == [FLOAT, FLOAT]
        number = next(a.i for a in node.attribute if a.name == "output_type")
        expected = {0: INT8, 1: FLOAT, 2: HALF}[number]
        assert types[node.output[0]] == expected and expected in (INT8, floating)
        assert types[residual] in (INT8, expected)
    readers = {name: [n for n in made.graph.node if name in n.input] for name in types}
    for node in integer:
        takes = {types[n.input[0]] == INT8 for n in readers[node.output[0]]}
        assert takes == {types[node.output[0]] == INT8}
    # Nothing is stored in two forms, and rows are gathered as codes.
    assert not named(made, "RegionQuantize")
    moving = named(made, "RegionGather", "RegionRestrict", "RegionMaxPool")
    assert moving and all(types[n.output[0]] == INT8 for n in moving)
    for node in named(made, "Softmax", "ReduceMax", "RegionSelect"):
        assert types[node.input[0]] == FLOAT


def test_convolutions_on_the_map_are_in_the_form_that_tensorrt_fuses(tiny):
    model, ranges, *_ = tiny("irnet", "plain")
    made = compile_for_tensorrt(model, SIZE, 1, "fp16", Quantization(ranges))
    by_output = {o: n for n in made.graph.node for o in n.output}
    values = {t.name: onnx.numpy_helper.to_array(t) for t in made.graph.initializer}
    types, integer = types_of(made), 0
    plan = make_plan(prepare(model, SIZE, 1))
    for conv in named(made, "Conv"):
        x, weight = (by_output.get(name) for name in conv.input[:2])
        if conv.output[0] not in plan.convolutions:
            assert types[conv.input[0]] == types[conv.input[1]] == HALF
            continue
        integer += 1
        assert x.op_type == weight.op_type == "DequantizeLinear" and types[x.input[0]] == INT8
        assert by_output[x.input[0]].op_type == "QuantizeLinear"
        # In FP32 between: a scale may be smaller than what FP16 holds.
        assert types[conv.output[0]] == FLOAT and values[weight.input[0]].dtype == np.int8
    assert integer == sum(n.output[0] in plan.convolutions for n in named(made, "Conv")) > 10
    for node in named(made, "QuantizeLinear", "DequantizeLinear"):
        assert values[node.input[2]].dtype == np.int8 and not values[node.input[2]].any()
    for add in named(made, "Add"):
        if add.name.startswith("stage1"):
            assert [by_output[name].op_type for name in add.input].count("DequantizeLinear") == 1


@pytest.mark.parametrize("symbolic", [False, True])
def test_a_dense_network_takes_the_cascade_s_ranges(tiny, symbolic):
    """Average pooling, maxima and concatenations on the map, and no rows."""
    model, ranges, *_ = tiny("inception", "aspp")
    dense, how = run_passes(model, [ToDense()]), Quantization(ranges)
    fixed = (None, None) if symbolic else (SIZE, 2)
    made = compile_for_tensorrt(dense, *fixed, "fp32", how)
    assert not any(n.domain == DOMAIN for n in made.graph.node)
    reference = signed_int8(prepare(dense, SIZE, 2), ranges)
    images = frames(2, SIZE, seed=5)
    expected, found = run(session(reference), images, None), run(session(made), images, None)
    assert (found["labels"] == expected["labels"]).mean() > 0.995
    assert np.abs(found["confidence"] - expected["confidence"]).mean() < 1e-3


LAYERS = ("stage1/1", "stage2/0", "stage2/0/branches/branch1", "stage3", "head2", "head1/0")


# Unshrunk, as above.
@settings(max_examples=6, phases=(Phase.generate,))
@given(
    keep=st.sets(st.sampled_from(LAYERS), min_size=1), precision=st.sampled_from(["fp32", "fp16"])
)
def test_layers_that_are_kept_are_in_floating_point_and_no_others(tiny, keep, precision):
    model, ranges, full, _ = tiny("irnet", "plain")
    plan = make_plan(prepare(model, SIZE, 1))
    kept = select_layers(plan, tuple(keep))
    made = compile_for_tensorrt(model, SIZE, 1, precision, Quantization(ranges, kept))
    types = types_of(made)
    for node in named(made, "RegionConv"):
        # A product of several branches is called after the first: none is of both kinds.
        (conv,) = [c for c in plan.convolutions if node.name.startswith(c)] or [None]
        assert (types[node.input[0]] == INT8) == (conv is not None and conv not in kept), node.name
    images, lowered = frames(1, SIZE, seed=5), session(made)
    for rho in (EMPTY, FULL):
        expected, found = run(full, images, rho), run(lowered, images, rho)
        assert np.abs(found["confidence"] - expected["confidence"]).mean() < 0.04


def test_rows_with_readers_of_both_kinds_are_floating_point_and_quantised_once(tiny):
    model, ranges, *_ = tiny("irnet", "plain")
    plan = make_plan(prepare(model, SIZE, 1))
    kept = select_layers(plan, ("stage2/0/branches/branch1/1",))
    made = compile_for_tensorrt(model, SIZE, 1, "fp16", Quantization(ranges, kept))
    types = types_of(made)
    quantized = named(made, "RegionQuantize")
    by_output = {o: n for n in made.graph.node for o in n.output}
    readers = {name: [n for n in made.graph.node if name in n.input] for name in types}
    # What the kept convolution gives, and what it and a branch of its own block both read.
    assert len(quantized) == 2
    for node in quantized:
        (x, _), (y,) = node.input, node.output
        assert types[x] == HALF and types[y] == INT8
        others = [n for n in readers[x] if n.op_type != "RegionQuantize"]
        assert others or types[by_output[x].input[0]] == HALF
        assert all(types[n.output[0]] != INT8 and n.input[0] == x for n in others)


def test_everything_kept_is_the_network_without_int8(tiny):
    model, ranges, *_ = tiny("irnet", "plain")
    plan = make_plan(prepare(model, SIZE, 1))
    kept = compile_for_tensorrt(model, SIZE, 1, "fp16", Quantization(ranges, plan.convolutions))
    plain = compile_for_tensorrt(model, SIZE, 1, "fp16")
    assert kept.SerializeToString(deterministic=True) == plain.SerializeToString(deterministic=True)


def is_aligned(made):
    """Whether each INT8 convolution can copy 16 channels at a time."""
    widths = {}
    for node in made.graph.node:
        if node.op_type == "RegionConv":
            weight = node.input[-4 if node.overload.startswith("int8") else -3]
            widths[node.output[0]] = next(
                t.dims[0] for t in made.graph.initializer if t.name == weight
            )
    found = []
    for node in named(made, "RegionConv"):
        if node.overload.startswith("int8"):
            given = {a.name: a.ints for a in node.attribute}
            for x, *part in zip(
                node.input[: len(given["channel_begin"])],
                given["channel_begin"], given["channel_end"], strict=True,
            ):  # fmt: skip
                found += [n % 16 == 0 for n in (*part, widths.get(x, 0))]
    return bool(found) and all(found)


def test_rows_are_as_wide_as_the_fast_path_wants_them(tiny):
    """Widths that are no multiple of 16, of branches, of the residual stream and of the map."""
    model, ranges, *_ = tiny("irnet", "plain")
    made = compile_for_tensorrt(model, SIZE, 1, "fp16", Quantization(ranges))
    assert is_aligned(made)
    (gather,) = named(made, "RegionGather")
    (pad,) = named(made, "Pad")
    by_output = {o: n for n in made.graph.node for o in n.output}
    assert by_output[by_output[gather.input[0]].input[0]] is pad
    assert by_output[pad.input[0]].op_type == "DequantizeLinear"
    plain = compile_for_tensorrt(model, SIZE, 1, "fp16")
    assert not named(plain, "Pad")


def test_a_tensor_without_a_range_is_named(tiny):
    model, ranges, *_ = tiny("irnet", "plain")
    folded = prepare(model, SIZE, 1)
    plan = make_plan(folded)
    needed = quantised_inputs(folded, plan, ())
    for stage in ("stage1", "stage2"):  # on the map, and of rows
        gone = [name for name in plan.tensors if name in needed and name.startswith(stage)][-1]
        some = {name: value for name, value in ranges.items() if name != gone}
        with pytest.raises(LcTrtError, match="the calibration table has no range"):
            compile_for_tensorrt(model, SIZE, 1, "fp32", Quantization(some))


# --- graphs of a few operators --------------------------------------------------------------------


def ranges_of(model):
    """What the tensors of a graph are where all pixels are in its region."""
    shown = onnx.ModelProto()
    shown.CopyFrom(model)
    tensors = make_plan(Graph(model)).tensors
    del shown.graph.output[:]
    shown.graph.output.extend(onnx.helper.make_empty_tensor_value_info(t) for t in tensors)
    found = session(shown).run(list(tensors), feed(1.0))
    return {
        t: (float(v.min(initial=0)), float(v.max())) for t, v in zip(tensors, found, strict=True)
    }


def assert_near(model, keep=(), error=0.03):
    """The root of the mean squared error beside that of the values."""
    made = lower_tensorrt(model, Quantization(ranges_of(model), keep))
    a, b = session(model), session(made)
    for share in (-1.0, 0.5, 1.0):
        (expected,), (found,) = a.run(None, feed(share)), b.run(None, feed(share))
        distance = np.sqrt(np.mean((found - expected) ** 2))
        assert distance <= error * np.sqrt(np.mean(expected**2))
    return made


@settings(max_examples=10)
@given(
    widths=st.lists(st.integers(1, 5), min_size=2, max_size=4),
    kernel=st.sampled_from([1, 3]),
    kept=st.sets(st.integers(0, 5)),
    seed=st.integers(0, 99),
)
def test_branches_and_residuals_of_any_width_and_any_kept(widths, kernel, kept, seed):
    def body(b):
        start = b.op("Relu", b.conv(b.entered, CHANNELS, CHANNELS))  # first, in floating point
        branches = [b.op("Relu", b.conv(start, CHANNELS, width)) for width in widths]
        branches[0] = b.op("Relu", b.conv(branches[0], widths[0], widths[0], 3))
        y = b.conv(b.op("Concat", *branches, axis=1), sum(widths), CHANNELS, kernel)
        y = b.op("Mul", y, b.constant(0.5, np.float32))
        y = b.op("Relu", b.op("Add", start, y))
        return b.conv(y, CHANNELS, 4, kernel), 4

    model = region_graph(body, seed)
    convolutions = make_plan(Graph(model)).convolutions
    keep = {name for i, name in enumerate(convolutions) if i in kept}
    made = assert_near(model, keep, error=0.05)
    types = types_of(made)
    integer = [n for n in named(made, "RegionConv") if types[n.input[0]] == INT8]
    assert bool(integer) == (len(keep) < len(convolutions))


def test_branches_that_are_one_product_keep_their_scales():
    """One is a hundred times as large as the other, which on its scale would be lost."""

    def body(b):
        start = b.op("Relu", b.conv(b.entered, CHANNELS, CHANNELS))
        small, large = b.conv(start, CHANNELS, 4), b.conv(start, CHANNELS, 4)
        weight = b.nodes[-1].input[4]
        value = onnx.numpy_helper.to_array(b.initializers[weight]) * 100
        b.initializers[weight] = onnx.numpy_helper.from_array(value, weight)
        small, large = (b.conv(b.op("Relu", x), 4, CHANNELS, 3) for x in (small, large))
        hundred = b.constant(100, np.float32)
        return b.op("Add", b.op("Mul", small, hundred), large), CHANNELS

    made = assert_near(region_graph(body))
    (merged,) = [n for n in named(made, "RegionConv") if n.name.endswith("merged")]
    (scale,) = [
        onnx.numpy_helper.to_array(t) for t in made.graph.initializer if t.name == merged.input[-3]
    ]
    assert types_of(made)[merged.output[0]] == INT8 and scale.shape == (32,)


@pytest.mark.parametrize("parts", [8, 17])
def test_more_parts_than_a_plugin_takes_are_added_up_in_floating_point(parts):
    def body(b):
        start = b.op("Relu", b.conv(b.entered, CHANNELS, CHANNELS))
        each = [b.conv(start, CHANNELS, 2, 3) for _ in range(parts)]
        y = b.op("Relu", b.conv(b.op("Concat", *each, axis=1), 2 * parts, CHANNELS, 3))
        return b.conv(y, CHANNELS, 4), 4

    made = assert_near(region_graph(body))
    assert len(named(made, "RegionQuantize")) == 1 + (parts > 8)


@pytest.mark.parametrize("channels", [CHANNELS, 5])
def test_a_maximum_moves_codes(channels):
    def body(b):
        start = b.op("Relu", b.conv(b.entered, CHANNELS, CHANNELS))
        y = b.conv(start, CHANNELS, channels)
        return b.conv(b.op("Concat", b.pool(y), y, axis=1), 2 * channels, 4), 4

    made = assert_near(region_graph(body))
    (pool,) = named(made, "RegionMaxPool")
    types = types_of(made)
    assert types[pool.input[0]] == types[pool.output[0]] == INT8


# --- the trained network --------------------------------------------------------------------------


def test_the_trained_network_agrees_with_fp32_and_with_the_cpu_s_int8(repository):
    """On photographs of another kind than it was calibrated on, at both operating points."""
    source = onnx.load(repository / "models" / "irnet-small-camvid" / "model.onnx")
    ranges = read_table(repository / "calib" / "irnet-small-camvid.json").ranges
    info, size, how = read_info(source), (180, 240), Quantization(ranges)
    full = session(source)
    others = {
        "tensorrt": session(compile_for_tensorrt(source, size, 1, "fp16", how)),
        "cpu": session(compile_model(source, "onnxruntime", size, 1, how)),
    }
    equal = {name: [] for name in others}
    for image in check_samples(None, 2, size).frames:
        for rho in (info.default_rho, info.fast_rho):
            expected = run(full, image[None], rho)
            for name, other in others.items():
                found = run(other, image[None], rho)
                equal[name].append(
                    [(found[what] == expected[what]).mean() for what in ("labels", "stages")]
                )
    labels, stages = np.array([np.mean(equal[name], axis=0) for name in others]).T
    assert labels.min() > 0.965 and stages.min() > 0.98
    # int8 has half the codes for values from 0 up that uint8 has.
    assert labels[1] - labels[0] < 0.02
