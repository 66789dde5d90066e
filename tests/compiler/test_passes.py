"""Every pass leaves a model that ONNX Runtime runs, with the outputs it had before."""

from __future__ import annotations

from dataclasses import replace

import numpy as np
import onnx
import pytest
import torch
from onnx import TensorProto, helper, numpy_helper
from tiny_networks import (
    INFO,
    MEAN,
    STD,
    frames,
    middle_rho,
    run,
    session,
    tiny_cascade,
    tiny_model,
)

from lc_trt.compiler.lower_standard import Lowering, LowerStandard
from lc_trt.compiler.lower_standard.neighbours import neighbour_positions, window
from lc_trt.compiler.pass_manager import run_passes
from lc_trt.compiler.passes.argmax_as_max import ArgMaxAsMax
from lc_trt.compiler.passes.dilated_max_pool import DilatedMaxPool
from lc_trt.compiler.passes.fold_batch_norm import FoldBatchNorm
from lc_trt.compiler.passes.fold_constants import FoldConstants
from lc_trt.compiler.passes.fp16_weights import Fp16Weights
from lc_trt.compiler.passes.freeze import Freeze
from lc_trt.compiler.passes.to_dense import ToDense
from lc_trt.errors import LcTrtError
from lc_trt.ir.export import export_dense
from lc_trt.ir.interface import DOMAIN
from lc_trt.ir.metadata import read_info
from lc_trt.model.cascade import Dense

SIZE = (52, 75)
FORMS = [("irnet", "plain"), ("irnet", "aspp"), ("inception", "aspp")]


def operators(model):
    return {n.op_type for n in model.graph.node}


@pytest.fixture(scope="module", params=FORMS, ids="-".join)
def source(request):
    return tiny_model(*request.param)


def frozen(model, batch=2):
    return run_passes(model, [Freeze(batch, SIZE), FoldConstants()])


def assert_same(before, after, rhos=((-1, -1), (1, 1), (-1, 1)), atol=1e-5):
    images = frames(2, SIZE)
    a, b = session(before), session(after)
    for rho in [*rhos, middle_rho(a, images)]:
        expected, found = run(a, images, rho), run(b, images, rho)
        assert np.array_equal(found["stages"], expected["stages"])
        assert (found["labels"] == expected["labels"]).mean() >= 0.999
        np.testing.assert_allclose(found["confidence"], expected["confidence"], atol=atol)


def test_freezing_fixes_the_shapes_and_folds_what_follows(source):
    model = frozen(source)
    assert_same(source, model)
    shapes = {
        v.name: [d.dim_value for d in v.type.tensor_type.shape.dim]
        for v in (*model.graph.input, *model.graph.output)
    }
    assert shapes["image"] == [2, *SIZE, 3]
    assert shapes["labels"] == [2, *SIZE]
    assert "Shape" not in operators(model)


def test_batch_norm_and_factors_go_into_convolutions(source):
    model = run_passes(source, [FoldBatchNorm()])
    assert_same(source, model)
    assert "BatchNormalization" not in operators(model)
    factors = [n for n in model.graph.node if n.op_type == "Mul" and n.name.endswith("/scale")]
    assert not factors


def test_factors_on_region_convolutions_may_stay():
    source = tiny_model()
    model = run_passes(source, [FoldBatchNorm(region_factors=False)])
    assert_same(source, model)
    factors = {n.name for n in model.graph.node if n.op_type == "Mul" and n.name.endswith("/scale")}
    # One a residual block: stage 1's are dense and folded, stages 2 and 3 have one and two.
    assert factors - {"input/scale"} == {"stage2/0/scale", "stage3/0/scale", "stage3/1/scale"}
    assert "BatchNormalization" not in operators(model)


@pytest.mark.parametrize("batch", [None, 3])
@pytest.mark.parametrize("size", [None, SIZE])
def test_freezing_leaves_what_it_is_given_no_value_for(batch, size):
    source = tiny_model()
    model = run_passes(source, [Freeze(batch, size)])
    height, width = size or ("height", "width")
    expected = {
        "image": [batch or "batch", height, width, 3],
        "labels": [batch or "batch", height, width],
        "stages": [batch or "batch", "feature_height", "feature_width"],
    }
    for value in (*model.graph.input, *model.graph.output):
        if value.name in expected:
            dims = value.type.tensor_type.shape.dim
            assert [d.dim_param or d.dim_value for d in dims] == expected[value.name]


def test_a_convolution_with_two_readers_keeps_its_batch_norm():
    rng = np.random.default_rng(0)
    values = {
        "w": rng.random((2, 2, 1, 1), np.float32), "s": np.ones(2, np.float32),
        "b": np.ones(2, np.float32), "m": np.ones(2, np.float32), "v": np.ones(2, np.float32),
    }  # fmt: skip
    nodes = [
        helper.make_node("Conv", ["x", "w"], ["y"]),
        helper.make_node("BatchNormalization", ["y", "s", "b", "m", "v"], ["z"]),
        helper.make_node("Add", ["y", "z"], ["out"]),
    ]
    tensors = [helper.make_tensor_value_info(n, 1, [1, 2, 3, 3]) for n in ("x", "out")]
    graph = helper.make_graph(
        nodes, "g", tensors[:1], tensors[1:],
        [numpy_helper.from_array(v, k) for k, v in values.items()],
    )  # fmt: skip
    model = helper.make_model(graph, opset_imports=[helper.make_opsetid("", 18)], ir_version=10)
    folded = run_passes(model, [FoldBatchNorm()])
    assert operators(folded) == {"Conv", "BatchNormalization", "Add"}
    x = {"x": rng.random((1, 2, 3, 3), np.float32)}
    np.testing.assert_allclose(session(folded).run(None, x)[0], session(model).run(None, x)[0])


def test_an_activated_region_convolution_is_no_place_for_a_factor():
    """-2 * relu(conv) is not relu(-2 * conv)."""
    source = run_passes(tiny_model(), [FoldBatchNorm()])
    readers = {i: n for n in source.graph.node for i in n.input}
    conv = next(
        n
        for n in source.graph.node
        if n.op_type == "RegionConv" and readers[n.output[0]].op_type == "Relu"
    )
    relu = readers[conv.output[0]]
    conv.attribute.append(helper.make_attribute("activation", 1))
    relu.op_type = "Mul"
    source.graph.initializer.append(numpy_helper.from_array(np.float32(-2), "factor"))
    relu.input.append("factor")
    assert_same(source, run_passes(source, [FoldBatchNorm()]))
    assert any("factor" in n.input for n in run_passes(source, [FoldBatchNorm()]).graph.node)


@pytest.mark.parametrize("multiple", [1, 16, 64])
@pytest.mark.parametrize("fold", [False, True])
def test_lowering_leaves_standard_operators_and_the_same_results(source, multiple, fold):
    before = frozen(source)
    before = run_passes(before, [FoldBatchNorm()]) if fold else before
    model = run_passes(before, [LowerStandard(Lowering(row_multiple=multiple))])
    assert all(n.domain == "" for n in model.graph.node) and not model.functions
    assert_same(source, model)


def test_the_number_of_rows_is_rounded_up():
    model = run_passes(frozen(tiny_model(), 1), [LowerStandard(Lowering(row_multiple=16))])
    rows = next(n for n in model.graph.node if n.name == "stage2/select/rows")
    model.graph.output.append(
        helper.make_tensor_value_info(rows.output[0], TensorProto.INT64, None)
    )
    del model.graph.output[-1].type.tensor_type.shape.dim[:]
    model.graph.output[-1].type.tensor_type.shape.dim.add().dim_param = "R"
    runs = session(model)
    images = frames(1, SIZE)
    confidence = np.sort(run(runs, images, (-1, -1))["confidence"].ravel())
    for wanted in (0, 1, 15, 16, 17, len(confidence)):
        first = -1.0 if wanted == 0 else float(confidence[wanted - 1])
        found = run(runs, images, (first, -1))[rows.output[0]]
        assert len(found) == -(-wanted // 16) * 16
        assert len(np.unique(found)) == wanted
        assert not wanted or (found[wanted:] == found[wanted - 1]).all()


def test_lowering_needs_a_fixed_size():
    with pytest.raises(LcTrtError, match="the map's size is not fixed; freeze the model first"):
        run_passes(tiny_model(), [LowerStandard()])


def test_lowering_names_an_operator_it_does_not_know():
    model = frozen(tiny_model())
    next(n for n in model.graph.node if n.domain == DOMAIN).op_type = "RegionDance"
    with pytest.raises(LcTrtError, match=r"unknown operator lc_trt.RegionDance"):
        run_passes(model, [LowerStandard()])


def test_neighbours_stop_at_the_image_s_border():
    # Two images of 2 x 2; a 1 x 3 window: left, itself, right.
    found = neighbour_positions((2, 2, 2), window((1, 3), (1, 1)))
    assert found.tolist() == [
        [0, 1, 2], [1, 2, 0], [0, 3, 4], [3, 4, 0],
        [0, 5, 6], [5, 6, 0], [0, 7, 8], [7, 8, 0],
    ]  # fmt: skip


@pytest.mark.parametrize("form", FORMS, ids="-".join)
def test_the_dense_network_is_the_cascade_without_exits(form):
    cascade = tiny_cascade(*form)
    source = tiny_model(*form)
    dense = run_passes(source, [ToDense()])
    images = frames(2, SIZE)
    found = run(session(dense), images, None)
    last = Dense(cascade.stages, cascade.heads[2], cascade.classes)
    for expected in (
        run(session(source), images, (1, 1)),
        run(session(export_dense(last, INFO, MEAN, STD)), images, None),
    ):
        assert (found["labels"] == expected["labels"]).mean() >= 0.999
        np.testing.assert_allclose(found["confidence"], expected["confidence"], atol=1e-5)
    assert all(n.domain == "" for n in dense.graph.node)
    assert not any(n.name.startswith(("head1", "head2")) for n in dense.graph.node)
    assert read_info(dense) == replace(INFO, kind="dense")


def test_densify_unfolds_a_fused_residual_and_activation():
    """What a later pass may fuse into RegionConv comes out again as standard operators."""
    source = run_passes(tiny_model(), [FoldBatchNorm()])
    fused = onnx.ModelProto()
    fused.CopyFrom(source)
    readers = {i: n for n in fused.graph.node for i in n.input}
    conv = next(n for n in fused.graph.node if n.op_type == "RegionConv" and "project" in n.name)
    add = readers[conv.output[0]]
    relu = readers[add.output[0]]
    conv.input[6] = add.input[0]
    conv.attribute.extend(
        [helper.make_attribute("activation", 1), helper.make_attribute("residual_scale", 1.0)]
    )
    conv.output[0] = relu.output[0]
    fused.graph.node.remove(add)
    fused.graph.node.remove(relu)
    assert_same(source, fused)
    assert_same(source, run_passes(frozen(fused), [LowerStandard()]))
    images = frames(1)
    a, b = (run(session(run_passes(m, [ToDense()])), images, None) for m in (source, fused))
    np.testing.assert_allclose(a["confidence"], b["confidence"], atol=1e-6)


@pytest.mark.parametrize(("kernel", "dilation"), [(3, 2), (3, 4), (5, 2)])
def test_dilated_pools_become_shifted_maxima(kernel, dilation):
    pad = dilation * (kernel // 2)
    node = helper.make_node(
        "MaxPool", ["x"], ["y"], name="pool", kernel_shape=[kernel] * 2, dilations=[dilation] * 2,
        pads=[pad] * 4, strides=[1, 1],
    )  # fmt: skip
    info = [helper.make_tensor_value_info(n, 1, [2, 3, 9, 11]) for n in ("x", "y")]
    graph = helper.make_graph([node], "g", info[:1], info[1:])
    model = helper.make_model(graph, opset_imports=[helper.make_opsetid("", 18)], ir_version=10)
    shifted = run_passes(model, [DilatedMaxPool()])
    assert "MaxPool" not in operators(shifted)
    x = np.random.default_rng(0).normal(size=(2, 3, 9, 11)).astype(np.float32)  # negative too
    expected = torch.nn.functional.max_pool2d(
        torch.nn.functional.pad(torch.from_numpy(x), (pad,) * 4, value=-np.inf),
        kernel, 1, dilation=dilation,
    )  # fmt: skip
    np.testing.assert_array_equal(session(shifted).run(None, {"x": x})[0], expected.numpy())


def test_plain_pools_stay():
    model = tiny_model()
    assert operators(run_passes(model, [DilatedMaxPool()])) == operators(model)


@pytest.mark.parametrize("classes", [2, 21])
def test_argmax_by_maxima_takes_the_first_of_equals(classes):
    node = helper.make_node("ArgMax", ["x"], ["y"], name="best", axis=1, keepdims=0)
    graph = helper.make_graph(
        [node],
        "g",
        [helper.make_tensor_value_info("x", TensorProto.FLOAT, [2, classes, 9, 11])],
        [helper.make_tensor_value_info("y", TensorProto.INT64, [2, 9, 11])],
    )
    model = helper.make_model(graph, opset_imports=[helper.make_opsetid("", 18)], ir_version=10)
    changed = run_passes(model, [ArgMaxAsMax()])
    assert "ArgMax" not in operators(changed)
    x = np.random.default_rng(0).integers(-3, 3, (2, classes, 9, 11)).astype(np.float32)
    (found,) = session(changed).run(None, {"x": x})
    np.testing.assert_array_equal(found, x.argmax(1))
    x[:, :, 0] = np.nan  # no class is right, but it has to be one
    assert session(changed).run(None, {"x": x})[0].max() < classes


def test_an_argmax_of_another_form_stays():
    source = tiny_model()  # its map has no fixed size yet
    assert operators(run_passes(source, [ArgMaxAsMax()])) == operators(source)
    assert_same(source, run_passes(frozen(source), [ArgMaxAsMax()]))


def test_half_storage_halves_the_file_and_folds_back():
    source = tiny_model()
    half = run_passes(source, [Fp16Weights()])
    assert len(half.SerializeToString()) < 0.75 * len(source.SerializeToString())
    assert_same(half, run_passes(half, [FoldConstants()]), atol=0)
    images = frames(1)
    a, b = (run(session(m), images, (1, 1)) for m in (source, half))
    np.testing.assert_allclose(a["confidence"], b["confidence"], atol=0.02)
    restored = run_passes(half, [FoldConstants()])
    assert not any(t.data_type == TensorProto.FLOAT16 for t in restored.graph.initializer)


def test_half_storage_refuses_what_does_not_fit():
    model = tiny_model()
    tensor = max(model.graph.initializer, key=lambda t: len(t.raw_data))
    value = numpy_helper.to_array(tensor) * 1e9
    tensor.CopyFrom(numpy_helper.from_array(value.astype(np.float32), tensor.name))
    with pytest.raises(LcTrtError, match="over FP16's 65504"):
        run_passes(model, [Fp16Weights()])
