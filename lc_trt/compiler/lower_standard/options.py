"""What a backend wants of the lowering."""

from __future__ import annotations

from dataclasses import dataclass


@dataclass(frozen=True)
class Lowering:
    """What a backend wants.

    Attributes:
        row_multiple: regions are padded to a multiple of this many rows by repeating the
            last one, whose results are then computed more than once and never read twice.
            OpenVINO compiles its kernels anew for every number of rows it has not met, which
            costs milliseconds and memory without bound; 64 leaves few different numbers.
        float_products: whether integer kernels give floating point results. ONNX Runtime's do
            not: there a product that is not quantised is computed in FP32.
    """

    row_multiple: int = 1
    float_products: bool = False
