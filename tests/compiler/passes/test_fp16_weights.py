"""Weights stored in FP16."""

from __future__ import annotations

import numpy as np
import pytest
from onnx import TensorProto, numpy_helper
from pass_cases import assert_same
from tiny_networks import frames, run, session, tiny_model

from lc_trt.compiler.pass_manager import run_passes
from lc_trt.compiler.passes.fold_constants import FoldConstants
from lc_trt.compiler.passes.fp16_weights import Fp16Weights
from lc_trt.errors import LcTrtError


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


def test_half_storage_refuses_overflowing_weights():
    model = tiny_model()
    tensor = max(model.graph.initializer, key=lambda t: len(t.raw_data))
    value = numpy_helper.to_array(tensor) * 1e9
    tensor.CopyFrom(numpy_helper.from_array(value.astype(np.float32), tensor.name))
    with pytest.raises(LcTrtError, match="over FP16's 65504"):
        run_passes(model, [Fp16Weights()])
