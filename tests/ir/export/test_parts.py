"""Parts that all exported networks share, in ONNX Runtime."""

from __future__ import annotations

import numpy as np
import pytest
import torch
from emitted import run_emitted

from lc_trt.ir.export.parts import emit_first_active, emit_probabilities, resize_by
from lc_trt.model.layers import Upsample


@pytest.mark.parametrize("shape", [(7, 5), (2, 5, 3, 4)], ids=["rows", "map"])
def test_probabilities(shape):
    x = torch.randn(shape)
    p, confidence = run_emitted(lambda b, names: list(emit_probabilities(b, names[0])), [x])
    np.testing.assert_allclose(p, x.softmax(1).numpy(), atol=1e-6)
    np.testing.assert_array_equal(confidence, p.max(1, keepdims=True))


@pytest.mark.parametrize("factor", [2, 4, 8])
def test_resize_by_a_factor(factor):
    x = torch.randn(1, 2, 5, 3)
    (y,) = run_emitted(lambda b, names: [resize_by(b, names[0], factor)], [x])
    expected = Upsample(factor)(x, (5 * factor, 3 * factor))
    np.testing.assert_allclose(y, expected.numpy(), atol=1e-5)


def test_all_cells_are_active_at_first():
    x = torch.full((2, 1, 3, 4), torch.nan)
    (active,) = run_emitted(lambda b, names: [emit_first_active(b, names[0])], [x])
    assert active.dtype == bool and active.shape == x.shape and active.all()
