"""NaN among weights is refused before an engine can hide it."""

from __future__ import annotations

import numpy as np
import pytest
from compilation import BACKENDS, lowered
from onnx import numpy_helper
from tiny_networks import tiny_model

from lc_trt.compiler.frontend.check_weights import CheckWeights
from lc_trt.compiler.graph import Graph
from lc_trt.errors import LcTrtError


@pytest.mark.parametrize("backend", BACKENDS)
@pytest.mark.parametrize("dtype", [np.float32, np.float16])
def test_a_weight_with_nan_is_named(backend: str, dtype: type) -> None:
    model = tiny_model()
    CheckWeights().apply(Graph(model))
    weight = next(t for t in model.graph.initializer if len(t.dims) == 4)
    values = numpy_helper.to_array(weight).astype(dtype)
    values.reshape(-1)[[1, 5]] = np.nan
    weight.CopyFrom(numpy_helper.from_array(values, weight.name))
    with pytest.raises(
        LcTrtError, match=rf"weight {weight.name}: 2 of {values.size} values are NaN"
    ):
        lowered(model, backend, (48, 72), 1)


def test_infinity_is_allowed() -> None:
    model = tiny_model()
    model.graph.initializer.append(numpy_helper.from_array(np.float32([np.inf]), "mask"))
    CheckWeights().apply(Graph(model))
