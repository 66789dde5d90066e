"""Which operators of a network in half precision compute in FP32, and why.

Products run in half precision, and what follows them does too, until an operator asks for FP32.
That one rule serves all backends (`mixed_precision`).
"""

from __future__ import annotations

from collections.abc import Collection

import ml_dtypes
import numpy as np
import onnx
from onnx import TensorProto

from lc_trt.compiler.graph import Array, Graph
from lc_trt.compiler.precision import Precision
from lc_trt.ir.interface import DOMAIN
from lc_trt.ir.node_view import NodeView
from lc_trt.ir.region_ops import REGION_CONV, REGION_SELECT

FULL = TensorProto.FLOAT
HALF_ARRAYS: dict[int, np.dtype] = {
    TensorProto.FLOAT16: np.dtype(np.float16),
    TensorProto.BFLOAT16: np.dtype(ml_dtypes.bfloat16),
}

# Tensor cores are for these.
PRODUCTS = {"Conv", "ConvTranspose", "Gemm", "MatMul", REGION_CONV.name}
_WEIGHTS = {"Conv": "W", "ConvTranspose": "W", "Gemm": "B", "MatMul": "B"}
# Probabilities and what compares them, interpolation, and sums and powers that leave FP16's range
# or need its digits. Names of operators that do neither are not listed: they follow their input.
_KEEPS_FULL = {
    "ArgMax", "ArgMin", "BatchNormalization", "CumSum", "Exp", "GlobalAveragePool",
    "GroupNormalization", "InstanceNormalization", "LayerNormalization", "Log", "LogSoftmax",
    "LpNormalization", "Pow", "Reciprocal", "ReduceL1", "ReduceL2", "ReduceLogSum",
    "ReduceLogSumExp", "ReduceMean", "ReduceProd", "ReduceSum", "ReduceSumSquare", "Resize",
    "Softmax", "Softplus", "Sqrt", "TopK", "Upsample",
    REGION_SELECT.name,
    "QuantizeLinear",  # of FP32 only, in this opset
}  # fmt: skip


class PrecisionChoice:
    """The type that each operator computes in, one after the other in topological order.

    Args:
        graph: is only read.
        precision: of products.
        keep: tensors that FP16 cannot hold; what makes or reads one stays in FP32. A precision
            with the range of FP32 holds all.
    """

    def __init__(self, graph: Graph, precision: Precision, keep: Collection[str]) -> None:
        self.graph, self.half = graph, precision.element_type
        self.limited = precision.narrow_range
        self.keep = frozenset(keep if self.limited else ())
        self.types = {name: kind.element for name, kind in graph.types().items()}
        # What stands under the path of an operator that a pass expanded is part of it.
        self.paths = tuple(
            f"{name}/" for name, op_type in graph.expanded.items() if op_type in _KEEPS_FULL
        )
        self.decoded_weights = {
            node.output[0]
            for node in graph.nodes
            if (node.domain, node.op_type) == ("", "DequantizeLinear")
            and NodeView(node).input("x") in graph.constants
        }

    def is_float(self, name: str) -> bool:
        """Whether a tensor is in one of the two types."""
        if name in self.graph.constants:
            return self.graph.constants[name].dtype in (np.float32, *HALF_ARRAYS.values())
        return self.types.get(name) in (FULL, *HALF_ARRAYS)

    def reason_for_full(self, node: onnx.NodeProto) -> str | None:
        """Why a node computes in FP32; None if it computes in half precision."""
        beyond = self.keep.intersection((*node.input, *node.output))
        if beyond:
            return f"FP16 cannot hold {min(beyond)!r}"
        if node.name.startswith(self.paths):
            return "it is part of an operator that needs FP32"
        if node.op_type in PRODUCTS and node.domain in ("", DOMAIN):
            # In FP32 between DQ and Q: scales do not fit into FP16.
            return "its weight is INT8" if self.decodes_weight(node) else None
        if node.op_type in _KEEPS_FULL:
            return f"{node.op_type} needs FP32"
        names = [name for name in node.input if name]
        values = [self.graph.constants.get(name) for name in names]
        if self.limited and any(exceeds_half(value) for value in values if value is not None):
            return "FP16 cannot hold a constant that it reads"
        data = [name for name, value in zip(names, values, strict=True) if value is None]
        if any(self.types.get(name) == self.half for name in data):
            return None
        return "nothing that it reads is in half precision"

    def element(self, node: onnx.NodeProto) -> int:
        """The type that a node computes in."""
        return self.half if self.reason_for_full(node) is None else FULL

    def decodes_weight(self, node: onnx.NodeProto) -> bool:
        """Whether a standard product's weight comes as INT8, for TensorRT to fuse."""
        weight = _WEIGHTS.get(node.op_type) if node.domain == "" else None
        return weight is not None and NodeView(node).input(weight) in self.decoded_weights

    def follow(self, node: onnx.NodeProto, element: int) -> None:
        """Note the type of what a node makes."""
        for name in node.output:
            if self.is_float(name):
                self.types[name] = element


def exceeds_half(value: Array) -> bool:
    """Whether FP16 cannot hold a constant.

    Args:
        value: of any type; none but FP32 exceeds it.
    """
    largest = np.finfo(np.float16).max
    return bool(value.dtype == np.float32 and value.size and np.abs(value).max() > largest)
