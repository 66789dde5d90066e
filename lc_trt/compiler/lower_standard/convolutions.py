"""RegionConv, and sums of several, as matrix products of rows."""

from __future__ import annotations

import numpy as np
import onnx

from lc_trt.compiler.graph import Array
from lc_trt.compiler.lower_standard.builder import Builder
from lc_trt.compiler.lower_standard.fused_sums import TapSum
from lc_trt.compiler.lower_standard.int8 import Dequantized, region_product, tap_products
from lc_trt.compiler.lower_standard.neighbours import (
    Region,
    Taps,
    map_table,
    product_table,
    table,
    window,
)
from lc_trt.errors import LcTrtError
from lc_trt.ir.node_view import NodeView

_ITSELF: Taps = ((0, 0),)


def lower_conv(
    b: Builder,
    node: onnx.NodeProto,
    region: Region,
    decoders: dict[str, Dequantized],
    float_products: bool,
    *,
    of_map: bool,
) -> int:
    """Lower a RegionConv.

    Args:
        b: builder for the nodes.
        node: RegionConv to lower.
        region: its region.
        decoders: inputs of the preceding DequantizeLinear nodes, by output.
        float_products: see `Lowering`.
        of_map: whether it reads all rows of a dense map instead of the region's.

    Returns:
        Number of output channels.

    Raises:
        LcTrtError: its weight is not a constant.
    """
    conv, p = NodeView(node), node.name
    x, weight_name, bias = (conv.input(name) for name in ("x", "weight", "bias"))
    decoded = decoders.get(weight_name)
    weight = b.constants.get(decoded.x if decoded else weight_name)
    if weight is None:
        raise LcTrtError(f"node {p!r}: its weight is not a constant")
    taps = window(conv.attribute("kernel_shape"), conv.attribute("dilations"))
    outputs, inputs = (int(n) for n in weight.shape[:2])
    # Products have four bytes per channel, gathered 8-bit rows one. Of a dense map they would be
    # computed at all cells.
    project_first = 4 * outputs <= inputs and float_products and not of_map
    if decoded and (taps == _ITSELF or not project_first):
        rows = None if taps == _ITSELF and not of_map else _table(b, region, taps, of_map)
        y = region_product(b, decoders[x], decoded, bias, rows, p)
    else:
        if decoded:
            products = tap_products(b, decoders[x], decoded, p)
            y = sum_of_taps(b, products, outputs, region, taps, p)
        elif taps == _ITSELF and not of_map:
            y = matmul(b, x, weight.reshape(outputs, inputs).T, p)
        elif outputs < inputs and not of_map:
            y = project_then_gather(b, x, weight.reshape(outputs, inputs, -1), region, taps, p)
        else:
            y = gather_then_multiply(b, x, weight, _table(b, region, taps, of_map), p)
        y = b.add("Add", y, bias, name=f"{p}/bias")
    factor, residual = float(conv.attribute("residual_scale")), conv.input("residual")
    if factor != 1.0:
        y = b.add("Mul", y, b.const(f"{p}/factor", factor, "float32"), name=f"{p}/scaled")
    if residual not in b.constants:
        y = b.add("Add", y, residual, name=f"{p}/residual")
    if conv.attribute("activation"):
        y = b.add("Relu", y, name=f"{p}/relu")
    b.nodes[-1].output[0] = node.output[0]
    return outputs


def lower_sum(b: Builder, tap_sum: TapSum, region: Region, name: str, output: str) -> int:
    """Lower a sum of convolutions.

    Args:
        b: builder for the nodes.
        tap_sum: the sum.
        region: region of its rows.
        name: path of the node names.
        output: output tensor.

    Returns:
        Number of output channels.
    """
    weight = np.stack(list(tap_sum.weights.values()), axis=-1)
    y = project_then_gather(b, tap_sum.x, weight, region, tap_sum.taps, name)
    bias = b.const(f"{name}/bias", tap_sum.bias, "float32")
    b.add("Add", y, bias, name=name, output=output)
    return len(weight)


def matmul(b: Builder, x: str, matrix: Array, p: str) -> str:
    """Matrix product with a constant.

    Args:
        b: builder for the nodes.
        x: rows [R, Cin].
        matrix: [Cin, Cout].
        p: path of the node names.
    """
    weight = b.const(f"{p}/matrix", np.ascontiguousarray(matrix), str(matrix.dtype))
    return b.add("MatMul", x, weight, name=f"{p}/matmul")


def _table(b: Builder, region: Region, taps: Taps, of_map: bool) -> str:
    return map_table(b, region, taps) if of_map else table(b, region, taps)


def gather_then_multiply(b: Builder, x: str, weight: Array, rows: str, p: str) -> str:
    """Gather windows, then multiply: [R, taps * Cin] x [taps * Cin, Cout].

    Args:
        b: builder for the nodes.
        x: rows [P, Cin].
        weight: [Cout, Cin, kh, kw].
        rows: neighbour table, int64 [R, taps].
        p: path of the node names.
    """
    outputs, inputs = weight.shape[:2]
    gathered = windows(b, x, inputs, rows, p)
    shape = b.const(f"{p}/patch", [-1, weight[0].size], "int64")
    patches = b.add("Reshape", gathered, shape, name=f"{p}/patches")
    return matmul(b, patches, weight.transpose(2, 3, 1, 0).reshape(-1, outputs), p)


def project_then_gather(
    b: Builder, x: str, weight: Array, region: Region, taps: Taps, p: str
) -> str:
    """Multiply by all taps, then gather and sum the products.

    The multiplications are the same, but the gathered rows have Cout channels instead of Cin: a
    hundredth of the memory traffic for 21 classes from 2048 channels.

    Args:
        b: builder for the nodes.
        x: rows [R, Cin].
        weight: [Cout, Cin, taps].
        region: region of the rows.
        taps: taps of the window.
        p: path of the node names.
    """
    outputs, inputs = weight.shape[:2]
    products = matmul(b, x, weight.transpose(1, 2, 0).reshape(inputs, -1), p)
    return sum_of_taps(b, products, outputs, region, taps, p)


def sum_of_taps(b: Builder, products: str, outputs: int, region: Region, taps: Taps, p: str) -> str:
    """Sum the products over all taps of the window, [R, Cout].

    Args:
        b: builder for the nodes.
        products: product of each row with each tap, [R, taps * Cout].
        outputs: Cout.
        region: region of the rows.
        taps: taps of the window.
        p: path of the node names.
    """
    shape = b.const(f"{p}/per_tap", [-1, outputs], "int64")
    per_tap = b.add("Reshape", products, shape, name=f"{p}/per_tap")
    gathered = windows(b, per_tap, outputs, product_table(b, region, taps), p)
    axis = b.const(f"{p}/axis", [1], "int64")
    # With keepdims=0, OpenVINO 2026.4 fuses a following QuantizeLinear into the sum and computes
    # wrong values (tests/compiler/passes/test_insert_qdq.py).
    total = b.add("ReduceSum", gathered, axis, name=f"{p}/sum", keepdims=1)
    flat = b.const(f"{p}/flat", [-1, outputs], "int64")
    return b.add("Reshape", total, flat, name=f"{p}/flat")


def windows(b: Builder, x: str, channels: int, rows: str, p: str) -> str:
    """Gather windows of rows by table, [R, taps, C]; entry 0 is a row of zeros.

    Args:
        b: builder for the nodes.
        x: rows [.., C].
        channels: C.
        rows: table from `table`, `map_table` or `product_table`.
        p: path of the node names.
    """
    if x not in b.with_zero:
        zero = b.const(f"{p}/zero_row", np.zeros((1, channels)), "float32")
        b.with_zero[x] = b.add("Concat", zero, x, name=f"{p}/with_zero", axis=0)
    with_zero = b.with_zero[x]
    return b.add("Gather", with_zero, rows, name=f"{p}/windows", axis=0)
