"""Refuse weights that are not numbers."""

from __future__ import annotations

import numpy as np
import onnx
from onnx import numpy_helper

from lc_trt.errors import LcTrtError

_FLOATS = {
    onnx.TensorProto.FLOAT,
    onnx.TensorProto.FLOAT16,
    onnx.TensorProto.BFLOAT16,
    onnx.TensorProto.DOUBLE,
}


def check_weights(model: onnx.ModelProto) -> None:
    """Raise where a weight holds NaN.

    An engine need not show it: a ReLU may turn NaN to 0, and the labels are wrong without a word.
    Infinity is no error, as masks and clips use it.

    Raises:
        LcTrtError: names the first weight.
    """
    for tensor in model.graph.initializer:
        if tensor.data_type in _FLOATS:
            values = np.asarray(numpy_helper.to_array(tensor), np.float32)
            found = int(np.isnan(values).sum())
            if found:
                raise LcTrtError(
                    f"weight {tensor.name}: {found} of {values.size} values are NaN; "
                    "export a checkpoint that has none"
                )
