"""Lowered models of the backends, against ONNX Runtime on the exchange model."""

from __future__ import annotations

import numpy as np
import onnx
import pytest
from compilation import CPU_BACKENDS, lowered
from tiny_networks import frames, middle_rho, run, session, tiny_model

from lc_trt.backends.load import open_onnx
from lc_trt.compiler.options import Quantization
from lc_trt.compiler.pass_manager import run_passes
from lc_trt.compiler.passes.quantization_plan import make_plan
from lc_trt.compiler.passes.to_dense import ToDense
from lc_trt.compiler.pipeline import prepare

SIZE = (52, 75)


def threshold(hard, confidence):
    """A threshold that leaves exactly ``hard`` pixels, between two confidences."""
    ordered = np.sort(confidence.ravel())
    if hard in (0, ordered.size):
        return -1.0 if hard == 0 else 1.0
    return float((ordered[hard - 1] + ordered[hard]) / 2)


@pytest.mark.parametrize("backend", CPU_BACKENDS)
@pytest.mark.parametrize("batch", [1, 3])
@pytest.mark.parametrize("form", [("irnet", "plain"), ("inception", "aspp")], ids="-".join)
def test_an_engine_equals_onnx_runtime_for_any_region(backend, batch, form):
    source = tiny_model(*form)
    reference = session(source)
    engine = open_onnx(
        backend, lowered(source, backend, SIZE, batch).SerializeToString(), threads=1
    )
    images = frames(batch, SIZE)
    confidence = run(reference, images, (-1, -1))["confidence"]
    counts = (0, 1, 2, confidence.size // 3, confidence.size)
    rhos = [(threshold(count, confidence), r) for count in counts for r in (-1.0, 1.0)]
    for rho in [*rhos, middle_rho(reference, images)]:
        expected = run(reference, images, rho)
        output = engine.run(images, np.array(rho, np.float32))
        assert np.array_equal(output.stages, expected["stages"])
        assert (output.labels == expected["labels"]).mean() >= 0.999
        np.testing.assert_allclose(output.confidence, expected["confidence"], atol=1e-4)


@pytest.mark.parametrize("backend", CPU_BACKENDS)
def test_a_dense_engine_equals_onnx_runtime(backend):
    source = run_passes(tiny_model("inception", "aspp"), [ToDense()])
    engine = open_onnx(backend, lowered(source, backend, SIZE, 2).SerializeToString(), threads=1)
    images = frames(2, SIZE)
    expected, output = run(session(source), images, None), engine.run(images)
    assert output.stages is None
    assert (output.labels == expected["labels"]).mean() >= 0.999
    np.testing.assert_allclose(output.confidence, expected["confidence"], atol=1e-4)


@pytest.mark.parametrize("backend", CPU_BACKENDS)
def test_a_model_is_encoded_once(backend, encoded):
    source = tiny_model()
    ranges = dict.fromkeys(make_plan(prepare(source, SIZE, 1)).tensors, (0.0, 6.0))
    compiled = lowered(source, backend, SIZE, 1, Quantization(ranges), reuse=True)
    assert len(encoded) == 1
    onnx.checker.check_model(compiled, full_check=True)
