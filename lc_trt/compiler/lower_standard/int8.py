"""Region convolutions on 8-bit rows."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
import onnx

from lc_trt.compiler.lower_standard.builder import Builder
from lc_trt.ir.node_view import NodeView


@dataclass(frozen=True)
class Dequantized:
    """Inputs of a DequantizeLinear node: quantised values, scale and zero point."""

    x: str
    scale: str
    zero: str


def dequantized(node: onnx.NodeProto) -> Dequantized | None:
    """Inputs of a DequantizeLinear with a zero point; None for another node.

    Args:
        node: node of any operator.
    """
    if (node.domain, node.op_type) != ("", "DequantizeLinear"):
        return None
    view = NodeView(node)
    inputs = Dequantized(view.input("x"), view.input("x_scale"), view.input("x_zero_point"))
    return inputs if inputs.zero else None


def gather_windows(b: Builder, x: Dequantized, channels: int, table: str, p: str) -> str:
    """Gather windows of 8-bit rows by table, [R, taps, C]; entry 0 dequantises to exactly 0.

    Args:
        b: builder for the nodes.
        x: 8-bit rows [R, C].
        channels: C.
        table: row + 1 of each neighbour [R, taps]; 0 if missing.
        p: path of the node names.
    """
    zero = b.constants[x.zero]
    missing = b.const(f"{p}/zero_row", np.full((1, channels), zero), str(zero.dtype))
    with_zero = b.add("Concat", missing, x.x, name=f"{p}/with_zero", axis=0)
    return b.add("Gather", with_zero, table, name=f"{p}/windows", axis=0)


def region_product(
    b: Builder, x: Dequantized, weight: Dequantized, bias: str, table: str | None, p: str
) -> str:
    """Product and bias of a region convolution, float [R, Cout], before any residual.

    Args:
        b: builder for the nodes.
        x: 8-bit rows [R, Cin].
        weight: int8 [Cout, Cin, kh, kw] with per-channel scales.
        bias: float [Cout].
        table: row + 1 of each neighbour [R, taps], 0 if missing; None for 1x1.
        p: path of the node names.
    """
    values = b.constants[weight.x]
    outputs, inputs = values.shape[:2]
    rows = x.x
    if table is not None:
        windows = gather_windows(b, x, inputs, table, p)
        shape = b.const(f"{p}/patch", [-1, values[0].size], "int64")
        rows = b.add("Reshape", windows, shape, name=f"{p}/patches")
    patches = b.add("DequantizeLinear", rows, x.scale, x.zero, name=f"{p}/patches_dq")
    # Taps before channels, the layout of the patches.
    matrix = b.const(f"{p}/matrix_int8", values.transpose(0, 2, 3, 1).reshape(outputs, -1), "int8")
    decoded = b.add(
        "DequantizeLinear", matrix, weight.scale, weight.zero, name=f"{p}/matrix_dq", axis=0
    )
    return b.add("Gemm", patches, decoded, bias, name=f"{p}/gemm", transB=1)


def tap_products(b: Builder, x: Dequantized, weight: Dequantized, p: str) -> str:
    """Product of each row with all taps of a region convolution, float [R, taps * Cout].

    The gather then moves Cout floats per tap instead of Cin bytes, which is less if a row has many
    more channels than the result.

    Args:
        b: builder for the nodes.
        x: 8-bit rows [R, Cin].
        weight: int8 [Cout, Cin, kh, kw] with per-channel scales.
        p: path of the node names.
    """
    values = b.constants[weight.x]
    outputs, inputs = values.shape[:2]
    taps = values[0, 0].size
    matrix = b.const(f"{p}/matrix_int8", values.transpose(2, 3, 0, 1).reshape(-1, inputs), "int8")
    scale = b.const(f"{p}/matrix_scale", np.tile(b.constants[weight.scale], taps), "float32")
    zero = b.const(f"{p}/matrix_zero", np.zeros(taps * outputs), "int8")
    rows = b.add("DequantizeLinear", x.x, x.scale, x.zero, name=f"{p}/rows_dq")
    decoded = b.add("DequantizeLinear", matrix, scale, zero, name=f"{p}/matrix_dq", axis=0)
    return b.add("Gemm", rows, decoded, name=f"{p}/gemm", transB=1)
