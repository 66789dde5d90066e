"""QDQ in the exchange model: its pattern, its results, and INT8 kernels of the engines."""

from __future__ import annotations

import json

import numpy as np
import onnx
import pytest
import torch
from compilation import CPU_BACKENDS, lowered
from int8_cases import image_folder, tiny_table
from onnx import numpy_helper
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
    tiny_model,
)

from lc_trt.backends.load import open_onnx
from lc_trt.compiler.options import Quantization
from lc_trt.compiler.pass_manager import apply_passes, run_passes
from lc_trt.compiler.passes.convolution import convolution
from lc_trt.compiler.passes.insert_qdq import InsertQdq, integer_weight, parameters
from lc_trt.compiler.passes.quantization_plan import fingerprints, make_plan, select_layers
from lc_trt.compiler.passes.to_dense import ToDense
from lc_trt.compiler.pipeline import prepare
from lc_trt.errors import LcTrtError, UsageError
from lc_trt.ir.export import export_cascade
from lc_trt.ir.node_view import NodeView
from lc_trt.runtime.engines.onnxruntime import open_session
from lc_trt.runtime.engines.openvino import core

SIZE = (52, 75)
MOVING = {"Concat", "DequantizeLinear"}


def make_case(form, folder):
    """A network and its ranges."""
    model = tiny_model(*form)
    return model, tiny_table(model, image_folder(folder, 3)).ranges


@pytest.fixture(scope="module")
def case(tmp_path_factory):
    return make_case(("irnet", "plain"), tmp_path_factory.mktemp("images"))


@pytest.fixture(scope="module")
def inception(tmp_path_factory):
    """With average pooling, region pooling, a signed sum and five-branch classifiers."""
    return make_case(("inception", "aspp"), tmp_path_factory.mktemp("images"))


def constants(model):
    return {t.name: numpy_helper.to_array(t) for t in model.graph.initializer}


def quantised(folded, quantization, *, branches=False):
    """A folded graph in INT8, as a model."""
    graph = folded.copy()
    apply_passes(graph, [InsertQdq(quantization, branches=branches)])
    return graph.encode()


def producers(model):
    return {o: n for n in model.graph.node for o in n.output}


@pytest.mark.parametrize("name", ["case", "inception"])
def test_convolutions_read_dequantised_inputs_and_classifiers_floating_point(name, request):
    model, ranges = request.getfixturevalue(name)
    folded = prepare(model, SIZE, 1)
    quantised_model = quantised(folded, Quantization(ranges))
    onnx.checker.check_model(quantised_model)
    by_output, plan = producers(quantised_model), make_plan(folded)
    convolutions = [n for n in quantised_model.graph.node if n.op_type in ("Conv", "RegionConv")]
    assert {n.output[0] for n in convolutions} > set(plan.convolutions)
    for conv in convolutions:
        weight = by_output.get(conv.input[1 if conv.op_type == "Conv" else 4])
        x = by_output[conv.input[0]]
        if conv.output[0] in plan.convolutions:
            assert weight is not None and weight.op_type == "DequantizeLinear"
            # Rows and maps move as 8 bits: the node in front is the decoder itself.
            assert x.op_type == "DequantizeLinear"
        else:
            assert weight is None, "a classifier and the first keep their weights"
    kinds = {n.op_type for n in quantised_model.graph.node}
    assert {"RegionSelect", "Softmax", "RegionConv"} <= kinds
    moving = [
        n for n in quantised_model.graph.node if n.op_type in ("RegionGather", "RegionRestrict")
    ]
    assert moving and all(by_output[n.input[0]].op_type != "DequantizeLinear" for n in moving)


def test_the_exchange_form_runs_as_it_is_and_stays_near_fp32(inception):
    model, ranges = inception
    folded = prepare(model, SIZE, 2)
    quantised_model = quantised(folded, Quantization(ranges))
    images = frames(2, SIZE, seed=5)
    a, b = session(folded.encode()), session(quantised_model)
    for rho in ((-1, -1), (1, 1), middle_rho(a, images)):
        expected, found = run(a, images, rho), run(b, images, rho)
        same = expected["stages"] == found["stages"]
        difference = np.abs(expected["confidence"] - found["confidence"])[same]
        assert difference.mean() < 0.05 and same.mean() > 0.8


@pytest.mark.parametrize(
    ("name", "backend"), [("case", "openvino"), ("case", "onnxruntime"), ("inception", "openvino")]
)
def test_engines_equal_the_exchange_model(name, backend, request):
    model, ranges = request.getfixturevalue(name)
    branches = backend == "onnxruntime"
    quantised_model = quantised(prepare(model, SIZE, 2), Quantization(ranges), branches=branches)
    compiled = lowered(model, backend, SIZE, 2, Quantization(ranges)).SerializeToString()
    engine = open_onnx(backend, compiled, threads=1, precision="int8")
    images, reference = frames(2, SIZE, seed=5), session(quantised_model)
    rhos = [(-1, -1), (1, 1), (1, -1)]
    if name == "case":  # the other's confidences lie closer together than INT8's steps
        rhos.append(middle_rho(reference, images))
    for rho in rhos:
        expected = run(reference, images, rho)
        found = engine.run(images, np.array(rho, np.float32))
        # A value half-way between two codes may be rounded to either.
        assert (found.stages == expected["stages"]).mean() > 0.97
        assert (found.labels == expected["labels"]).mean() > 0.97
        same = found.stages == expected["stages"]
        assert np.abs(found.confidence - expected["confidence"])[same].mean() < 0.01


def test_kept_layers_keep_their_weights(case):
    model, ranges = case
    folded = prepare(model, SIZE, 1)
    plan = make_plan(folded)
    keep = select_layers(plan, ("stage2", "head1/0"))
    quantised_model = quantised(folded, Quantization(ranges, keep))
    by_output = producers(quantised_model)
    for node in quantised_model.graph.node:
        if node.op_type in ("Conv", "RegionConv") and node.output[0] in plan.convolutions:
            weight = node.input[1 if node.op_type == "Conv" else 4]
            assert (weight in by_output) == (node.output[0] not in keep)
    everything = quantised(folded, Quantization(ranges, plan.convolutions))
    assert not any("Quantize" in n.op_type for n in everything.graph.node)
    with pytest.raises(UsageError, match=r"--keep stage9: no such layer runs.*stage1"):
        select_layers(plan, ("stage9",))


def test_the_dense_form_takes_the_cascades_ranges_and_kept_layers(case):
    model, ranges = case
    keep = select_layers(make_plan(prepare(model, SIZE, 1)), ("stage3",))
    compiled = lowered(
        run_passes(model, [ToDense()]), "onnxruntime", SIZE, 1, Quantization(ranges, keep)
    )
    names = {n.name for n in compiled.graph.node if n.op_type == "DequantizeLinear"}
    weights = [n for n in names if "weight_dq" in n]
    assert any(n.startswith("stage2") for n in weights)
    assert not any(n.startswith("stage3") for n in weights)


@pytest.mark.parametrize("backend", CPU_BACKENDS)
def test_the_dense_form_repeats_parents_in_8_bits(tmp_path, backend):
    """A cascade with exact regions has no ranges for what its dense form resizes."""
    model = tiny_encoder_model()
    ranges = tiny_table(model, image_folder(tmp_path, 3)).ranges
    compiled = lowered(run_passes(model, [ToDense()]), backend, SIZE, 1, Quantization(ranges))
    made = producers(compiled)
    nearest = [n for n in compiled.graph.node if NodeView(n).attributes().get("mode") == b"nearest"]
    (repeated,) = [n for n in nearest if made[n.input[0]].op_type == "QuantizeLinear"]
    assert {n.op_type for n in compiled.graph.node if repeated.output[0] in n.input} <= MOVING


def test_a_missing_range_is_named(case):
    model, ranges = case
    gone = next(iter(ranges))
    some = {name: value for name, value in ranges.items() if name != gone}
    with pytest.raises(LcTrtError, match=f"tensor {gone!r}: the calibration table has no range"):
        quantised(prepare(model, SIZE, 1), Quantization(some))


def test_missing_neighbours_dequantise_to_zero(case):
    model, ranges = case
    compiled = lowered(model, "openvino", SIZE, 1, Quantization(ranges))
    values = constants(compiled)
    readers = {i: n for n in compiled.graph.node for i in n.input}
    rows = [n for n in values if "/zero_row" in n and values[n].dtype != np.float32]
    assert rows
    for name in rows:
        node = readers[name]
        while node.op_type != "DequantizeLinear":
            node = readers[node.output[0]]
        assert (values[name] == values[node.input[2]]).all()


def test_weights_are_symmetric_per_output_channel():
    rng = np.random.default_rng(0)
    weight = rng.normal(size=(4, 3, 3, 3)) * np.array([1e-3, 1, 50, 0]).reshape(-1, 1, 1, 1)
    values, scale = integer_weight(weight)
    assert values.dtype == np.int8 and list(np.abs(values).reshape(4, -1).max(1)) == [127] * 3 + [0]
    decoded = values * scale.reshape(-1, 1, 1, 1)
    assert (np.abs(decoded - weight).reshape(4, -1).max(1) <= scale / 2 * 1.001).all()


@pytest.mark.parametrize("backend", CPU_BACKENDS)
def test_a_channel_without_weights_keeps_its_bias(tmp_path, backend):
    """Pretrained encoders have channels that are no more than a constant."""
    network = tiny_encoder_cascade(CLASSES)
    layer = network.encoder.stages[2][1].branch[1]
    with torch.no_grad():
        layer.conv.weight[:2] = 0
        layer.conv.weight[2] *= 1e-7
        layer.bn.bias[:3], layer.bn.running_mean[:3] = 0.8, 0
    model = export_cascade(network, INFO, MEAN, STD)
    ranges = tiny_table(model, image_folder(tmp_path, 1)).ranges
    folded = prepare(model, SIZE, 1)
    plan, edges = make_plan(folded), folded.edges()
    found = constants(lowered(model, backend, SIZE, 1, Quantization(ranges)))
    checked = 0
    for name in plan.convolutions:
        conv = convolution(edges.producers[name])
        steps = [n for n in found if n.startswith(conv.node.name) and n.endswith("/bias_int32")]
        for key in steps:
            scale = found[key.removesuffix("_int32") + "_scale"]
            expected = folded.constants[conv.bias].reshape(-1)
            assert (np.abs(found[key] * scale - expected) <= 0.51 * scale + 1e-6).all(), key
            checked += 1
    assert checked == len(plan.convolutions)


@pytest.mark.parametrize(
    ("ranges", "signed", "code", "zero"),
    [
        ([(0, 2.55), (0, 1)], False, 255, 0),
        ([(-1, 2.54)], False, 255, 128),
        ([(0, 1.27)], True, 127, 0),
    ],
)
def test_zero_and_the_largest_value_are_representable(ranges, signed, code, zero):
    scale, point = parameters(ranges, signed=signed)
    assert point == zero and point.dtype == (np.int8 if signed else np.uint8)
    assert scale.dtype == np.float32 and scale.shape == ()
    assert (code - zero) * scale == pytest.approx(max(r[1] for r in ranges), rel=1e-6)


def test_fingerprints_depend_on_weights(case):
    model, _ = case
    folded = prepare(model)
    plan = make_plan(folded)
    own = fingerprints(folded, plan)
    changed = folded.copy()
    conv = changed.edges().producers[plan.convolutions[3]]
    changed.constants[conv.input[1]] = changed.constants[conv.input[1]] * 2
    different = [n for n, v in fingerprints(changed, plan).items() if v != own[n]]
    assert len(different) == 1 and different[0].startswith(conv.name.removesuffix("/conv"))


def test_openvino_picks_int8_kernels(case):
    """Read from the executed graph: which precision each kernel ran in."""
    model, ranges = case
    plan = make_plan(prepare(model, SIZE, 1))
    compiled = lowered(model, "openvino", SIZE, 1, Quantization(ranges))
    network = core().compile_model(
        core().read_model(compiled.SerializeToString()), "CPU", {"INFERENCE_PRECISION_HINT": "f32"}
    )
    request = network.create_infer_request()
    request.infer({"image": frames(1, SIZE), "rho": np.ones(2, np.float32)})
    kinds = {"Convolution": [], "FullyConnected": [], "Gather": [], "Pooling": []}
    for op in network.get_runtime_model().get_ordered_ops():
        info = {k: str(v.astype(str)) for k, v in op.get_rt_info().items() if _is_text(v)}
        kind = info.get("layerType", "").replace("QuantizedLegacy", "").replace("Quantized", "")
        if kind in kinds:
            kinds[kind].append(info["runtimePrecision"])
    products = kinds["Convolution"] + kinds["FullyConnected"]
    integer = [p for p in products if p in ("u8", "i8")]
    assert len(integer) == len(plan.convolutions), json.dumps(kinds)
    others = len(products) - len(integer)
    assert others == 5, "the first, the classifiers, upsampling along rows and no other"
    assert set(kinds["Pooling"]) == {"u8"}
    assert kinds["Gather"].count("u8") >= 5


def _is_text(value):
    try:
        value.astype(str)
    except RuntimeError:
        return False
    return True


def test_onnx_runtime_picks_int8_kernels(case, tmp_path):
    """From its optimised graph."""
    model, ranges = case
    plan = make_plan(prepare(model, SIZE, 1))
    compiled = lowered(model, "onnxruntime", SIZE, 1, Quantization(ranges))
    open_session(compiled.SerializeToString(), optimized=tmp_path / "optimized.onnx")
    nodes = onnx.load(tmp_path / "optimized.onnx").graph.node
    counts = {kind: sum(n.op_type == kind for n in nodes) for kind in {n.op_type for n in nodes}}
    # The last layer before a classifier, in heads 1 and 2, has no quantised reader.
    assert counts["QLinearConv"] + counts["QGemm"] == len(plan.convolutions) - 2, counts
    additions = sum(n.op_type == "Add" and n.name.endswith("/add") for n in compiled.graph.node)
    assert counts["QLinearAdd"] == additions - sum(
        n.op_type == "Add" and n.name.startswith("stages/") for n in compiled.graph.node
    )
