"""What CPU engines run in INT8: region convolutions on gathered 8-bit rows, biases as int32."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass

import numpy as np
import onnx

from lc_trt.compiler.graph import Array, EditableGraph


@dataclass(frozen=True)
class Dequantized:
    """The inputs of a DequantizeLinear node: quantised values, scale and zero point."""

    x: str
    scale: str
    zero: str


def find_dequantized(node: onnx.NodeProto) -> dict[str, Dequantized]:
    """By its output's name, what a DequantizeLinear decodes; nothing for another node."""
    if node.op_type != "DequantizeLinear" or len(node.input) != 3:
        return {}
    return {node.output[0]: Dequantized(*node.input)}


def integer_bias(model: onnx.ModelProto) -> onnx.ModelProto:
    """Biases of Conv and Gemm with 8-bit inputs and weights as int32 at the product's scale.

    ONNX Runtime takes its integer kernels for no other.
    """
    graph = EditableGraph(model)
    decoded: dict[str, Dequantized] = {}
    nodes: list[onnx.NodeProto] = []
    for node in graph.nodes:
        decoded |= find_dequantized(node)
        if node.op_type in ("Conv", "Gemm") and all(name in decoded for name in node.input[:2]):
            x, weight = (decoded[name] for name in node.input[:2])
            scale = graph.constants[x.scale] * graph.constants[weight.scale]
            bias = np.zeros(len(scale)) if len(node.input) < 3 else graph.constants[node.input[2]]
            limits = np.iinfo(np.int32)
            steps = np.clip(np.rint(bias.reshape(-1) / scale), limits.min, limits.max)
            p = f"{node.name}/bias"
            names = [
                graph.constant(f"{p}_int32", steps, "int32"),
                graph.constant(f"{p}_scale", scale, "float32"),
                graph.constant(f"{p}_zero_point", np.zeros(len(scale)), "int32"),
            ]
            nodes.append(graph.make("DequantizeLinear", names, f"{p}_dq", axis=0))
            inputs = [*node.input[:2], nodes[-1].output[0]]
            del node.input[:]
            node.input.extend(inputs)
        nodes.append(node)
    graph.nodes = nodes
    return graph.model()


def gather_windows(
    add: Callable[..., str],
    const: Callable[..., str],
    constants: dict[str, Array],
    x: Dequantized,
    channels: int,
    table: str,
    p: str,
) -> str:
    """8-bit [R, taps, C]: rows by table, where entry 0 decodes to exactly 0."""
    zero = constants[x.zero]
    missing = const(f"{p}/zero_row", np.full((1, channels), zero), str(zero.dtype))
    with_zero = add("Concat", missing, x.x, name=f"{p}/with_zero", axis=0)
    return add("Gather", with_zero, table, name=f"{p}/windows", axis=0)


def region_product(
    add: Callable[..., str],
    const: Callable[..., str],
    constants: dict[str, Array],
    x: Dequantized,
    weight: Dequantized,
    bias: str,
    table: str | None,
    p: str,
) -> str:
    """[R, Cout] float: a region convolution's product and bias, in front of any residual.

    Args:
        add, const: add a node and a constant, giving its name (`lower_standard`).
        x: 8-bit rows [R, Cin].
        weight: int8 [Cout, Cin, kh, kw] with a scale for each Cout.
        table: row + 1 of each neighbour [R, taps], 0 where there is none; None for 1x1.
    """
    values = constants[weight.x]
    outputs, inputs = values.shape[:2]
    rows = x.x
    if table is not None:
        windows = gather_windows(add, const, constants, x, inputs, table, p)
        shape = const(f"{p}/patch", [-1, values[0].size], "int64")
        rows = add("Reshape", windows, shape, name=f"{p}/patches")
    patches = add("DequantizeLinear", rows, x.scale, x.zero, name=f"{p}/patches_dq")
    # The window's places before its channels, as the rows lie side by side.
    matrix = const(f"{p}/matrix_int8", values.transpose(0, 2, 3, 1).reshape(outputs, -1), "int8")
    decoded = add(
        "DequantizeLinear", matrix, weight.scale, weight.zero, name=f"{p}/matrix_dq", axis=0
    )
    return add("Gemm", patches, decoded, bias, name=f"{p}/gemm", transB=1)


def tap_products(
    add: Callable[..., str],
    const: Callable[..., str],
    constants: dict[str, Array],
    x: Dequantized,
    weight: Dequantized,
    p: str,
) -> str:
    """[R, taps * Cout] float: each row's product with every tap of a region convolution.

    Nothing is gathered in 8 bits then, but Cout floats a tap afterwards: less to move where a
    row has many more channels than the result.

    Args: as of `region_product`.
    """
    values = constants[weight.x]
    outputs, inputs = values.shape[:2]
    taps = values[0, 0].size
    matrix = const(f"{p}/matrix_int8", values.transpose(2, 3, 0, 1).reshape(-1, inputs), "int8")
    scale = const(f"{p}/matrix_scale", np.tile(constants[weight.scale], taps), "float32")
    zero = const(f"{p}/matrix_zero", np.zeros(taps * outputs), "int8")
    rows = add("DequantizeLinear", x.x, x.scale, x.zero, name=f"{p}/rows_dq")
    decoded = add("DequantizeLinear", matrix, scale, zero, name=f"{p}/matrix_dq", axis=0)
    return add("Gemm", rows, decoded, name=f"{p}/gemm", transB=1)
