"""Weights stored in FP16 and cast where they are read: half the file, the same graph."""

from __future__ import annotations

from dataclasses import dataclass
from typing import ClassVar

import numpy as np
from onnx import TensorProto

from lc_trt.compiler.graph import Array, Graph
from lc_trt.compiler.pass_manager import PassReport
from lc_trt.errors import LcTrtError

SMALLEST = 1024  # values; batch norm's and biases stay FP32: they weigh nothing and round worst


@dataclass(frozen=True)
class Fp16Weights:
    """Large FP32 weights become FP16 constants behind a Cast, which `FoldConstants` undoes.

    Raises LcTrtError where a weight does not fit FP16's range.
    """

    name: ClassVar[str] = "fp16_weights"

    def apply(self, graph: Graph) -> PassReport:
        """Store them."""
        casts = []
        for name, value in list(graph.constants.items()):
            if value.dtype != np.float32 or value.size < SMALLEST:
                continue
            half = as_half(name, value)
            del graph.constants[name]
            stored = graph.constant(f"{name}/half", half, np.float16)
            casts.append(
                graph.make("Cast", [stored], f"{name}/cast", outputs=[name], to=TensorProto.FLOAT)
            )
        graph.nodes = casts + graph.nodes
        return PassReport(len(casts))


def as_half(name: str, value: Array) -> Array:
    """A weight in FP16.

    Args:
        name: for the message.
        value: FP32.

    Raises:
        LcTrtError: it does not fit FP16's range.
    """
    with np.errstate(over="ignore"):  # told apart just below
        half = value.astype(np.float16)
    if not np.isfinite(half).all():
        raise LcTrtError(f"weight {name!r} reaches {np.abs(value).max():.3g}, over FP16's 65504")
    return half
