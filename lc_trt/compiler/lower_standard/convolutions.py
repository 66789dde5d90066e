"""RegionConv, and sums of them, as products of rows."""

from __future__ import annotations

import numpy as np
import onnx

from lc_trt.compiler.graph import Array
from lc_trt.compiler.lower_standard.builder import Builder
from lc_trt.compiler.lower_standard.fused_sums import TapSum
from lc_trt.compiler.lower_standard.int8 import Dequantized, region_product, tap_products
from lc_trt.compiler.lower_standard.neighbours import Region, Taps, product_table, table, window
from lc_trt.errors import LcTrtError
from lc_trt.ir.node_view import NodeView

_ITSELF: Taps = ((0, 0),)


def lower_conv(
    b: Builder,
    node: onnx.NodeProto,
    region: Region,
    decoders: dict[str, Dequantized],
    float_products: bool,
) -> int:
    """Add what a RegionConv becomes.

    Args:
        b: where it goes.
        node: the RegionConv.
        region: its region.
        decoders: what nodes before it dequantise, by their output.
        float_products: as of `Lowering`.

    Returns:
        The number of channels of the result.

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
    # Products are floats, four bytes each, where gathered rows are one byte per channel.
    few = 4 * outputs <= inputs and float_products
    if decoded and (taps == _ITSELF or not few):
        rows = None if taps == _ITSELF else table(b, region, taps)
        y = region_product(b, decoders[x], decoded, bias, rows, p)
    else:
        if decoded:
            products = tap_products(b, decoders[x], decoded, p)
            y = sum_of_taps(b, products, outputs, region, taps, p)
        elif taps == _ITSELF:
            y = matmul(b, x, weight.reshape(outputs, inputs).T, p)
        elif outputs < inputs:
            y = project_then_gather(b, x, weight.reshape(outputs, inputs, -1), region, taps, p)
        else:
            y = gather_then_multiply(b, x, weight, region, taps, p)
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


def lower_sum(b: Builder, found: TapSum, region: Region, name: str, output: str) -> int:
    """Add what a sum of convolutions becomes.

    Args:
        b: where it goes.
        found: the sum.
        region: the one that its rows are of.
        name: for its nodes.
        output: the tensor that it makes.

    Returns:
        The number of channels of the result.
    """
    weight = np.stack(list(found.weights.values()), axis=-1)
    y = project_then_gather(b, found.x, weight, region, found.taps, name)
    bias = b.const(f"{name}/bias", found.bias, "float32")
    b.add("Add", y, bias, name=name, output=output)
    return len(weight)


def matmul(b: Builder, x: str, matrix: Array, p: str) -> str:
    """A product with a constant.

    Args:
        b: gets the nodes.
        x: rows [R, Cin].
        matrix: [Cin, Cout].
        p: path of the nodes' names.
    """
    weight = b.const(f"{p}/matrix", np.ascontiguousarray(matrix), str(matrix.dtype))
    return b.add("MatMul", x, weight, name=f"{p}/matmul")


def gather_then_multiply(
    b: Builder, x: str, weight: Array, region: Region, taps: Taps, p: str
) -> str:
    """Rows of the window side by side, then one product: [R, taps * Cin] x [.., Cout].

    Args:
        b: gets the nodes.
        x: rows [R, Cin].
        weight: [Cout, Cin, kh, kw].
        region: of the rows.
        taps: of the window.
        p: path of the nodes' names.
    """
    outputs, inputs = weight.shape[:2]
    found = windows(b, x, inputs, table(b, region, taps), p)
    shape = b.const(f"{p}/patch", [-1, len(taps) * inputs], "int64")
    patches = b.add("Reshape", found, shape, name=f"{p}/patches")
    return matmul(b, patches, weight.transpose(2, 3, 1, 0).reshape(-1, outputs), p)


def project_then_gather(
    b: Builder, x: str, weight: Array, region: Region, taps: Taps, p: str
) -> str:
    """Every tap's product first, then the window's sum.

    The same multiplications, but what is gathered is Cout wide instead of Cin: with 21
    classes from 2048 channels a hundredth of the memory traffic.

    Args:
        b: gets the nodes.
        x: rows [R, Cin].
        weight: [Cout, Cin, taps].
        region: of the rows.
        taps: of the window.
        p: path of the nodes' names.
    """
    outputs, inputs = weight.shape[:2]
    products = matmul(b, x, weight.transpose(1, 2, 0).reshape(inputs, -1), p)
    return sum_of_taps(b, products, outputs, region, taps, p)


def sum_of_taps(b: Builder, products: str, outputs: int, region: Region, taps: Taps, p: str) -> str:
    """[R, Cout]: the sum over all taps, each of the row that it reads.

    Args:
        b: gets the nodes.
        products: each row's product with each tap, [R, taps * Cout].
        outputs: Cout.
        region: of the rows.
        taps: of the window.
        p: path of the nodes' names.
    """
    shape = b.const(f"{p}/per_tap", [-1, outputs], "int64")
    per_tap = b.add("Reshape", products, shape, name=f"{p}/per_tap")
    found = windows(b, per_tap, outputs, product_table(b, region, taps), p)
    axis = b.const(f"{p}/axis", [1], "int64")
    # Without the axis kept OpenVINO 2026.4 fuses a following QuantizeLinear into the sum and
    # gives wrong values (tests/compiler/passes/test_insert_qdq.py).
    total = b.add("ReduceSum", found, axis, name=f"{p}/sum", keepdims=1)
    flat = b.const(f"{p}/flat", [-1, outputs], "int64")
    return b.add("Reshape", total, flat, name=f"{p}/flat")


def windows(b: Builder, x: str, channels: int, rows: str, p: str) -> str:
    """[R, taps, C]: rows by table, where entry 0 is a row of zeros.

    Args:
        b: gets the nodes.
        x: rows [.., C].
        channels: C.
        rows: the table, `table` or `product_table`.
        p: path of the nodes' names.
    """
    zero = b.const(f"{p}/zero_row", np.zeros((1, channels)), "float32")
    with_zero = b.add("Concat", zero, x, name=f"{p}/with_zero", axis=0)
    return b.add("Gather", with_zero, rows, name=f"{p}/windows", axis=0)
