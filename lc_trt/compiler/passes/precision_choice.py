"""Selects the operators of a network in half precision that compute in FP32, with reasons.

Products compute in half precision, and so do the operators after them, up to one that requires
FP32. The same rule applies to all backends (`mixed_precision`).
"""

from __future__ import annotations

from collections.abc import Collection

import ml_dtypes
import numpy as np
import onnx
from onnx import TensorProto

from lc_trt.compiler.graph import Array, Graph
from lc_trt.compiler.passes.quantization_plan import moves
from lc_trt.compiler.precision import Precision
from lc_trt.ir.interface import DOMAIN
from lc_trt.ir.node_view import NodeView
from lc_trt.ir.region_ops import REGION_CONV, REGION_SELECT

FULL = TensorProto.FLOAT
HALF_ARRAYS: dict[int, np.dtype] = {
    TensorProto.FLOAT16: np.dtype(np.float16),
    TensorProto.BFLOAT16: np.dtype(ml_dtypes.bfloat16),
}

# Operators that use tensor cores.
PRODUCTS = {"Conv", "ConvTranspose", "Gemm", "MatMul", REGION_CONV.name}
_WEIGHTS = {"Conv": "W", "ConvTranspose": "W", "Gemm": "B", "MatMul": "B"}
# Probabilities and their comparisons, interpolation, and sums and powers that need more range or
# precision than FP16 has. Operators that are not listed, or only move values as a nearest-neighbour
# Resize does, follow their input.
_KEEPS_FULL = {
    "ArgMax", "ArgMin", "BatchNormalization", "CumSum", "Exp", "GlobalAveragePool",
    "GroupNormalization", "InstanceNormalization", "LayerNormalization", "Log", "LogSoftmax",
    "LpNormalization", "Pow", "Reciprocal", "ReduceL1", "ReduceL2", "ReduceLogSum",
    "ReduceLogSumExp", "ReduceMean", "ReduceProd", "ReduceSum", "ReduceSumSquare", "Resize",
    "Softmax", "Softplus", "Sqrt", "TopK", "Upsample",
    REGION_SELECT.name,
    "QuantizeLinear",  # FP32 only in this opset
}  # fmt: skip


class PrecisionChoice:
    """Chooses the type of each operator, in topological order.

    Args:
        graph: is only read.
        precision: precision of products.
        keep: tensors that exceed FP16; their producers and readers stay in FP32. Ignored for a
            precision with the range of FP32.
    """

    def __init__(self, graph: Graph, precision: Precision, keep: Collection[str]) -> None:
        self.graph, self.half = graph, precision.element_type
        self.limited = precision.narrow_range
        self.keep = frozenset(keep if self.limited else ())
        self.types = {name: kind.element for name, kind in graph.types().items()}
        # Nodes under the path of an expanded operator belong to it.
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
        """Whether a tensor is FP32 or half precision.

        Args:
            name: name of a tensor.
        """
        if name in self.graph.constants:
            return self.graph.constants[name].dtype in (np.float32, *HALF_ARRAYS.values())
        return self.types.get(name) in (FULL, *HALF_ARRAYS)

    def reason_for_full(self, node: onnx.NodeProto) -> str | None:
        """Why a node computes in FP32; None if it computes in half precision.

        Args:
            node: next node in topological order.
        """
        beyond = self.keep.intersection((*node.input, *node.output))
        if beyond:
            return f"FP16 cannot hold {min(beyond)!r}"
        if node.name.startswith(self.paths):
            return "it is part of an operator that needs FP32"
        if node.op_type in PRODUCTS and node.domain in ("", DOMAIN):
            # FP32 between DQ and Q, because scales may be too small for FP16.
            return "its weight is INT8" if self.decodes_weight(node) else None
        if node.op_type in _KEEPS_FULL and not moves(node):
            return f"{node.op_type} needs FP32"
        names = [name for name in node.input if name]
        values = [self.graph.constants.get(name) for name in names]
        if self.limited and any(exceeds_half(value) for value in values if value is not None):
            return "FP16 cannot hold a constant that it reads"
        data = [name for name, value in zip(names, values, strict=True) if value is None]
        if any(self.types.get(name) == self.half for name in data):
            return None
        return "none of its inputs is in half precision"

    def element(self, node: onnx.NodeProto) -> int:
        """Type that a node computes in.

        Args:
            node: next node in topological order.
        """
        return self.half if self.reason_for_full(node) is None else FULL

    def decodes_weight(self, node: onnx.NodeProto) -> bool:
        """Whether the weight of a standard product is INT8, for TensorRT to fuse.

        Args:
            node: a product.
        """
        weight = _WEIGHTS.get(node.op_type) if node.domain == "" else None
        return weight is not None and NodeView(node).input(weight) in self.decoded_weights

    def follow(self, node: onnx.NodeProto, element: int) -> None:
        """Record the type of the outputs of a node.

        Args:
            node: next node in topological order.
            element: its type.
        """
        for name in node.output:
            if self.is_float(name):
                self.types[name] = element


def exceeds_half(value: Array) -> bool:
    """Whether FP16 cannot hold a constant.

    Args:
        value: array of any dtype; only FP32 can exceed FP16.
    """
    largest = np.finfo(np.float16).max
    return bool(value.dtype == np.float32 and value.size and np.abs(value).max() > largest)
