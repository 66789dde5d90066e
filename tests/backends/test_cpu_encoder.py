"""Cascades on an encoder in the CPU backends, against PyTorch."""

from __future__ import annotations

import numpy as np
import pytest
import torch
from compilation import CPU_BACKENDS
from hypothesis import given, settings
from hypothesis import strategies as st
from tiny_encoder import tiny_encoder_cascade
from tiny_networks import CLASSES, INFO, MEAN, STD, frames, rho_at, session, to_input

from lc_trt.backends.registry import get_backend
from lc_trt.compiler.options import CompileOptions
from lc_trt.compiler.pass_manager import run_passes
from lc_trt.compiler.passes.to_dense import ToDense
from lc_trt.ir.export import export_cascade
from lc_trt.model.encoder_cascade import EncoderCascade
from lc_trt.runtime.engines.base import Engine

sides = st.integers(32, 75)
share = st.floats(0, 1)


@pytest.fixture(scope="module")
def network() -> EncoderCascade:
    return tiny_encoder_cascade(CLASSES)


def engine_of(model, backend: str, size: tuple[int, int], batch: int) -> Engine:
    compiled = get_backend(backend).compile(model, CompileOptions.of(backend, size, batch))
    return get_backend(backend).open(compiled, threads=1)


@pytest.mark.parametrize("backend", CPU_BACKENDS)
@given(
    size=st.tuples(sides, sides),
    batch=st.sampled_from([1, 2]),
    shares=st.lists(st.tuples(share, share), min_size=3, max_size=3),
)
@settings(max_examples=5)
def test_the_engine_equals_pytorch(network, backend, size, batch, shares):
    source, images = export_cascade(network, INFO, MEAN, STD), frames(batch, size)
    engine, exported = engine_of(source, backend, size, batch), session(source)
    with torch.no_grad():
        logits = network.deep(to_input(images))[2]
    whole = network.probabilities(logits, 3).amax(1).numpy()
    for rho in ((1, 1), (-1, -1), (1, -1), *(rho_at(exported, images, pair) for pair in shares)):
        output = engine.run(images, np.array(rho, np.float32))
        with torch.no_grad():
            expected = network(to_input(images), rho)
            labels = network.upsample(expected.probabilities, size).argmax(1).numpy()
        assert np.array_equal(output.stages, expected.stages[:, 0].numpy())
        assert (output.labels == labels).mean() >= 0.999
        np.testing.assert_allclose(output.confidence, expected.confidence[:, 0].numpy(), atol=1e-4)
        # Cells that go on have what the whole network gives them.
        reached = output.stages == 3
        np.testing.assert_allclose(output.confidence[reached], whole[reached], atol=1e-4)
    engine.close()


@pytest.mark.parametrize("backend", CPU_BACKENDS)
def test_the_dense_engine_is_the_cascade_without_exits(network, backend):
    size, images = (45, 61), frames(1, (45, 61))
    source = export_cascade(network, INFO, MEAN, STD)
    cascade = engine_of(source, backend, size, 1)
    dense = engine_of(run_passes(source, [ToDense()]), backend, size, 1)
    expected = cascade.run(images, np.array([1, 1], np.float32))
    output = dense.run(images)
    assert (output.labels == expected.labels).mean() >= 0.999
    np.testing.assert_allclose(output.confidence, expected.confidence, atol=1e-5)
