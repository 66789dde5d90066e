"""Exit rules in ONNX Runtime against PyTorch."""

from __future__ import annotations

import numpy as np
import pytest
import torch
from emitted import run_emitted

from lc_trt.ir.export.exits import emit_score
from lc_trt.model.exits import Largest


@pytest.mark.parametrize("boundary", [1, 2])
def test_scores_are_those_of_pytorch(boundary):
    probabilities, features = torch.randn(2, 5, 7, 9).softmax(1), torch.randn(2, 3, 7, 9)
    rule = Largest()
    (score,) = run_emitted(
        lambda b, names: [emit_score(rule, b, boundary, *names)], [probabilities, features]
    )
    np.testing.assert_allclose(score, rule(boundary, probabilities, features).numpy(), atol=1e-5)


def test_a_rule_without_an_emitter_is_named():
    with pytest.raises(TypeError, match="no ONNX form for Identity"):
        emit_score(torch.nn.Identity(), None, 1, "p", "x")
