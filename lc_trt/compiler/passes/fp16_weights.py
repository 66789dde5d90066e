"""Weights stored in FP16 and cast where they are read: half the file, the same graph."""

from __future__ import annotations

import numpy as np
import onnx
from onnx import TensorProto, helper

from lc_trt.compiler.graph import Array, EditableGraph
from lc_trt.errors import LcTrtError

SMALLEST = 1024  # values; batch norm's and biases stay FP32: they weigh nothing and round worst


def store_half(model: onnx.ModelProto) -> onnx.ModelProto:
    """Large FP32 weights as FP16 constants behind a Cast; `fold.fold_constants` undoes the Cast.

    Raises:
        LcTrtError: a weight does not fit FP16's range.
    """
    graph = EditableGraph(model)
    casts = []
    for name, value in list(graph.constants.items()):
        if value.dtype != np.float32 or value.size < SMALLEST:
            continue
        half = as_half(name, value)
        del graph.constants[name]
        stored = graph.constant(f"{name}/half", half, np.float16)
        casts.append(
            helper.make_node("Cast", [stored], [name], name=f"{name}/cast", to=TensorProto.FLOAT)
        )
    graph.nodes = casts + graph.nodes
    return graph.model()


def as_half(name: str, value: Array) -> Array:
    """A weight in FP16.

    Raises:
        LcTrtError: it does not fit FP16's range.
    """
    with np.errstate(over="ignore"):  # told apart just below
        half = value.astype(np.float16)
    if not np.isfinite(half).all():
        raise LcTrtError(f"weight {name!r} reaches {np.abs(value).max():.3g}, over FP16's 65504")
    return half
