"""The executor on a cascade on an encoder: regions at two strides that read dense maps."""

from __future__ import annotations

import numpy as np
import onnx
import pytest
import torch
from compilation import lowered_for_tensorrt
from gpubench.executor import Executor
from gpubench.kernels import Kernels
from gpubench.layers import layers_of
from gpubench.networks import lower
from gpubench.reference import Reference, disagreement, probabilities_of
from hypothesis import Phase, given, settings
from hypothesis import strategies as st
from lowered_cases import (
    BATCH,
    EMPTY,
    FULL,
    SIZE,
    executor,
    images,
    partial_rho,
    put,
    replaced,
    run_onnx,
    session,
    with_outputs,
)
from lowered_int8 import exchange_ranges
from tiny_encoder import tiny_encoder_cascade
from tiny_networks import CLASSES, INFO, MEAN, STD, tiny_encoder_model, to_input

from lc_trt.compiler.options import Quantization
from lc_trt.ir.export import export_cascade
from lc_trt.ir.interface import DOMAIN
from lc_trt.model.neighbours import Neighbours

CPU = torch.device("cpu")
TOLERANCE = {"float32": 1e-5, "float16": 2e-2}


def int8_model() -> onnx.ModelProto:
    source = tiny_encoder_model()
    how = Quantization(exchange_ranges(source, images()))
    return lowered_for_tensorrt(source, SIZE, BATCH, "fp32", how)


@pytest.mark.parametrize("neighbours", Neighbours)
@pytest.mark.parametrize("kind", TOLERANCE)
def test_it_equals_onnx_runtime_and_pytorch(kernels, neighbours, kind):
    network = tiny_encoder_cascade(CLASSES, neighbours=neighbours)
    model = lower(export_cascade(network, INFO, MEAN, STD), SIZE, BATCH, kind)
    runner, cascade = session(model), executor(model, kernels)
    for rho in (EMPTY, FULL, partial_rho(runner)):
        expected, found = run_onnx(runner, rho), put(cascade, rho)()
        with torch.no_grad():
            output = network(to_input(images()), rho)
        for stages in (torch.from_numpy(expected["stages"]), output.stages[:, 0]):
            assert torch.equal(found["stages"], stages)
        largest = torch.from_numpy(expected["confidence"])
        assert float((found["confidence"] - largest).abs().max()) < TOLERANCE[kind]
        wrong = (found[cascade.outputs[-1]] - output.probabilities).abs()
        assert float(wrong.max()) < TOLERANCE[kind]
        assert (found["labels"].numpy() == expected["labels"]).mean() > 1 - TOLERANCE[kind]


def test_int8_equals_onnx_runtime(kernels):
    """On ONNX Runtime's maps: another order of a map's sums can move a value across a tie."""
    model = int8_model()
    made = {name for node in model.graph.node if node.domain == "" for name in node.output}
    read = {name for node in model.graph.node if node.domain == DOMAIN for name in node.input}
    maps = sorted(made & read)
    runner, cascade = session(with_outputs(model, maps)), executor(model, kernels)
    for rho in (EMPTY, FULL, partial_rho(runner)):
        expected = run_onnx(runner, rho)
        with replaced(cascade, {name: torch.from_numpy(expected[name]) for name in maps}):
            output = cascade.run(images(), np.array(rho, np.float32))
        assert np.array_equal(output.stages, expected["stages"])
        assert np.abs(output.confidence - expected["confidence"]).max() < 2e-3
        assert (output.labels == expected["labels"]).mean() > 0.99


@pytest.fixture(scope="module")
def cascades(emulator):
    """By type, with what each returns where no pixel exits early."""
    kernels = Kernels(emulator, CPU)
    models = {kind: lower(tiny_encoder_model(), SIZE, BATCH, kind) for kind in TOLERANCE}
    runners = {kind: executor(m, kernels) for kind, m in (models | {"int8": int8_model()}).items()}
    whole = {kind: put(runner, FULL)()[runner.outputs[-1]] for kind, runner in runners.items()}
    return {kind: (runner, whole[kind].clone()) for kind, runner in runners.items()}


# Not shrunk: an example is a pass of the emulator.
@pytest.mark.parametrize("kind", [*TOLERANCE, "int8"])
@settings(max_examples=5, phases=(Phase.generate,))
@given(rho=st.tuples(st.floats(0.2, 1), st.floats(0.2, 1)))
def test_a_cell_that_goes_on_gets_what_the_whole_network_gives_it(cascades, kind, rho):
    """Bit for bit, whatever other cells go on."""
    cascade, whole = cascades[kind]
    found = put(cascade, rho)()
    went_on = found["stages"] == 3
    probabilities = found[cascade.outputs[-1]].movedim(1, -1)
    assert torch.equal(probabilities[went_on], whole.movedim(1, -1)[went_on])


@pytest.mark.parametrize("kind", TOLERANCE)
def test_a_pass_is_compared_with_the_reference(kernels, kind):
    source = tiny_encoder_model()
    model = lower(source, SIZE, BATCH, kind)
    cascade, name = executor(model, kernels), probabilities_of(model.graph.node)
    reference = Reference(source, SIZE, BATCH, CPU)
    half = None if kind == "float32" else Reference(source, SIZE, BATCH, CPU, "fp16")
    for rho in (EMPTY, FULL, partial_rho(session(source))):
        wrong, rounding = disagreement(put(cascade, rho), name, reference, half)
        assert wrong < 1e-5 + 1.5 * rounding
    cascade.convs[1].bias += 0.5  # a convolution of the dense map
    wrong, rounding = disagreement(put(cascade, FULL), name, reference, half)
    assert wrong > 1e-2 + 1.5 * rounding


def test_layers_read_rows_of_maps():
    layers = layers_of(lower(tiny_encoder_model(), None, None, "float16"))
    assert sum(layers.values()) == 13
    windows = sorted(layer.window for layer in layers if layer.taps > 1)
    assert windows == [(3, 3, 1, 1), (3, 3, 1, 1), (3, 3, 2, 2), (3, 3, 2, 2), (3, 3, 4, 4)]


@pytest.mark.slow
@pytest.mark.parametrize("kind", ["float16", "int8"])
def test_it_knows_every_node_of_the_largest_encoder(kernels, kind):
    from lc_trt.model.network import NetworkSpec

    network = NetworkSpec(encoder="tf_efficientnet_lite2").build(CLASSES)
    model = lower(export_cascade(network, INFO, MEAN, STD), SIZE, 1, kind)
    convs = [node for node in model.graph.node if node.op_type == "RegionConv"]
    assert len(Executor(model, kernels, "plain").convs) == len(convs) == 13
