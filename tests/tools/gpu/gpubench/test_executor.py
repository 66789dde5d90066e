"""The executor of tools/gpu on the emulator, beside ONNX Runtime and PyTorch's cascade."""

from __future__ import annotations

import numpy as np
import pytest
import torch
from compilation import lowered_for_tensorrt
from gpubench.executor import Executor
from gpubench.networks import lower
from gpubench.reference import Reference, disagreement, probabilities_of
from int8_cases import image_folder, tiny_table
from lowered_cases import (
    BATCH,
    EMPTY,
    FULL,
    SIZE,
    executor,
    images,
    node_of,
    partial_rho,
    put,
    replaced,
    run_onnx,
    session,
    with_outputs,
)  # fmt: skip
from tiny_networks import tiny_cascade, tiny_model, to_input

from lc_trt.compiler.options import Quantization
from lc_trt.compiler.pass_manager import run_passes
from lc_trt.compiler.passes.to_dense import ToDense
from lc_trt.errors import LcTrtError
from lc_trt.ir.node_view import NodeView

CPU = torch.device("cpu")


@pytest.mark.parametrize(
    ("trunk", "form", "kind", "tolerance"),
    [
        ("irnet", "aspp", "float32", 3e-6),
        ("inception", "aspp", "float32", 3e-6),
        ("irnet", "plain", "float16", 4e-3),
        ("inception", "plain", "float16", 4e-3),
    ],
)
def test_it_equals_onnx_runtime(kernels, trunk, form, kind, tolerance):
    """The same lowered ONNX, on regions that are empty, full, and cut twice."""
    model = lower(tiny_model(trunk, form), SIZE, BATCH, kind)
    runner, cascade = session(model), executor(model, kernels)
    for rho in (EMPTY, FULL, partial_rho(runner)):
        expected = run_onnx(runner, rho)
        found = cascade.run(images(), np.array(rho, np.float32))
        assert np.array_equal(found.stages, expected["stages"])
        assert np.abs(found.confidence - expected["confidence"]).max() < tolerance
        assert (found.labels == expected["labels"]).mean() > 1 - tolerance
        share = {EMPTY: {1}, FULL: {3}}.get(rho, {1, 2, 3})
        assert set(np.unique(found.stages)) == share


@pytest.mark.parametrize("trunk", ["irnet", "inception"])
def test_int8_equals_onnx_runtime(kernels, trunk, tmp_path):
    """Stages 2 and 3 have exact sums. A convolution on the map has not, and what lies half-way
    between two integers may be rounded otherwise; so the former begin with ONNX Runtime's maps.
    """
    source = tiny_model(trunk)
    ranges = tiny_table(source, image_folder(tmp_path, 2)).ranges
    model = lowered_for_tensorrt(source, SIZE, BATCH, "fp16", Quantization(ranges))
    graph = model.graph
    entered = NodeView(node_of(graph, "RegionGather")).input("x")
    left = NodeView(node_of(graph, "RegionScatter")).input("base")
    sure = NodeView(node_of(graph, "RegionSelect")).input("confidence")
    maps, runner = [entered, left, sure], session(with_outputs(model, [entered, left, sure]))
    cascade = Executor(model, kernels, "plain", maps)
    for rho in (EMPTY, FULL, partial_rho(runner)):
        expected = run_onnx(runner, rho)
        found = put(cascade, rho)()[entered].int() - torch.from_numpy(expected[entered]).int()
        assert found.abs().max() <= 4 and (found != 0).float().mean() < 0.25
        values = {name: torch.from_numpy(expected[name]) for name in maps}
        with replaced(cascade, values):
            output = cascade.run(images(), np.array(rho, np.float32))
        assert np.array_equal(output.stages, expected["stages"])
        assert np.abs(output.confidence - expected["confidence"]).max() < 2e-3
        assert (output.labels == expected["labels"]).mean() > 0.99


@pytest.mark.parametrize("kind", ["float32", "float16", "bfloat16"])
def test_it_equals_the_pytorch_cascade(kernels, kind):
    """Also in BF16, which ONNX Runtime has no convolution for."""
    network, source = tiny_cascade("irnet", "plain"), tiny_model("irnet", "plain")
    cascade = executor(lower(source, SIZE, BATCH, kind), kernels)
    tolerance = {"float32": 3e-6, "float16": 4e-3, "bfloat16": 3e-2}[kind]
    for rho in (EMPTY, FULL, partial_rho(session(source))):
        with torch.no_grad():
            expected = network(to_input(images()), rho)
        found = put(cascade, rho)()
        same = found["stages"] == expected.stages[:, 0]
        assert same.float().mean() > (0.99 if kind != "bfloat16" else 0.9)
        wrong = (found[cascade.outputs[-1]] - expected.probabilities).abs()
        assert float(wrong.amax(1)[same].max()) < tolerance


def test_a_dense_network_has_no_regions(kernels):
    source = run_passes(tiny_model("inception", "aspp"), [ToDense()])
    model = lower(source, SIZE, BATCH, "float32")
    dense, expected = Executor(model, kernels, "plain"), run_onnx(session(model))
    found = dense.run(images())
    assert found.stages is None and dense.convs == []
    assert np.array_equal(found.labels, expected["labels"])
    assert np.abs(found.confidence - expected["confidence"]).max() < 3e-6


@pytest.mark.parametrize("preset", ["irnet-small", *(
    pytest.param(name, marks=pytest.mark.slow) for name in ("irnet", "inception-resnet-v2")
)])  # fmt: skip
@pytest.mark.parametrize("kind", ["float16", "int8"])
def test_it_knows_every_node_of_a_preset(kernels, preset, kind):
    from gpubench.networks import random_cascade

    model = lower(random_cascade(preset), SIZE, 1, kind)
    cascade = Executor(model, kernels, "plain")
    operators = [node.op_type for node in model.graph.node]
    assert len(cascade.convs) == operators.count("RegionConv")
    launched = [step.operator for step in cascade.steps]
    for name in sorted({o for o in operators if o.startswith("Region")}):
        assert launched.count(f"lc_trt.{name}") == operators.count(name)


# --- the reference -------------------------------------------------------------------------------


@pytest.mark.parametrize("trunk", ["irnet", "inception"])
def test_the_reference_equals_the_pytorch_cascade(trunk):
    network, source = tiny_cascade(trunk, "aspp"), tiny_model(trunk, "aspp")
    reference = Reference(source, SIZE, BATCH, CPU)
    with torch.no_grad():
        expected = network(to_input(images()), partial_rho(session(source)))
    masks = [region.hard for region in expected.regions]
    assert 0 < masks[1].sum() < masks[0].sum() < masks[0].numel()
    found = reference(torch.from_numpy(images()), masks)
    torch.testing.assert_close(found, expected.probabilities, rtol=1e-4, atol=1e-6)


@pytest.mark.parametrize("kind", ["float32", "float16"])
def test_a_pass_is_compared_with_the_reference(kernels, kind):
    source = tiny_model("inception", "plain")
    model = lower(source, SIZE, BATCH, kind)
    cascade, name = executor(model, kernels), probabilities_of(model.graph.node)
    reference = Reference(source, SIZE, BATCH, CPU)
    half = None if kind == "float32" else Reference(source, SIZE, BATCH, CPU, "fp16")
    for rho in (EMPTY, FULL, partial_rho(session(source))):
        wrong, rounding = disagreement(put(cascade, rho), name, reference, half)
        assert wrong < 1e-5 + 1.5 * rounding
    cascade.convs[-3].bias += 0.5
    wrong, rounding = disagreement(put(cascade, FULL), name, reference, half)
    assert wrong > 1e-2 + 1.5 * rounding


def test_pixels_that_left_below_a_threshold_are_found(kernels):
    source = tiny_model("irnet", "plain")
    model = lower(source, SIZE, BATCH, "float32")
    cascade, name, reference = executor(model, kernels), probabilities_of(model.graph.node), None
    put(cascade, EMPTY)
    select = next(step for step in cascade.steps if step.operator.endswith("RegionSelect"))
    rho, run = partial_rho(session(source)), select.run
    select.run = lambda confidence, active, rho: run(confidence, active, rho - 0.1)
    with pytest.raises(LcTrtError, match="exited at stage 1 below its threshold"):
        disagreement(put(cascade, rho), name, reference)
