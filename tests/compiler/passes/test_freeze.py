"""Batch and image size become fixed, each if it has a value."""

from __future__ import annotations

import pytest
from pass_cases import SIZE
from tiny_networks import tiny_model

from lc_trt.compiler.pass_manager import run_passes
from lc_trt.compiler.passes.freeze import Freeze


@pytest.mark.parametrize("batch", [None, 3])
@pytest.mark.parametrize("size", [None, SIZE])
def test_dimensions_without_a_value_stay_symbolic(batch, size):
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
