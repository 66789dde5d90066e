"""Store weights in FP16 with a Cast to FP32, which halves the file size."""

from __future__ import annotations

from dataclasses import dataclass
from typing import ClassVar

import numpy as np
from onnx import TensorProto

from lc_trt.compiler.graph import Array, Graph
from lc_trt.compiler.pass_manager import PassReport
from lc_trt.errors import LcTrtError

SMALLEST = (
    1024  # values; smaller constants (batch norm, biases) stay FP32: little to save, most rounding
)


@dataclass(frozen=True)
class Fp16Weights:
    """Converts large FP32 weights to FP16 constants with a Cast, which `FoldConstants` reverts.

    Raises LcTrtError if a weight exceeds the range of FP16.
    """

    name: ClassVar[str] = "fp16_weights"

    def apply(self, graph: Graph) -> PassReport:
        """Convert weights; the report counts them."""
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
    """Convert a weight to FP16.

    Args:
        name: name of the weight, for the message.
        value: FP32 array.

    Raises:
        LcTrtError: it exceeds the range of FP16.
    """
    with np.errstate(over="ignore"):  # reported below
        half = value.astype(np.float16)
    if not np.isfinite(half).all():
        raise LcTrtError(f"weight {name!r} reaches {np.abs(value).max():.3g}, over FP16's 65504")
    return half
