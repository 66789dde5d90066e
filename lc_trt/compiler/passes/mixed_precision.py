"""Half precision: which operators compute in it, and FP16 or BF16 as types in the graph.

Products run in half precision, and what follows them does too, until an operator asks for FP32.
That one rule serves all: `to_half` writes it into the graph as types, which is what a strongly
typed TensorRT network computes in, and `note_full` as a list of names beside the graph, for an
engine that is asked for FP16 or bf16 as a whole and told what to leave out.
"""

from __future__ import annotations

import json
from collections.abc import Collection, Iterable
from typing import Literal

import ml_dtypes
import numpy as np
import onnx
from onnx import TensorProto

from lc_trt.compiler.graph import EditableGraph, attributes
from lc_trt.compiler.passes.fp16_weights import as_half
from lc_trt.errors import LcTrtError
from lc_trt.ir.interface import DOMAIN, FP32_TENSORS

FULL = TensorProto.FLOAT
BFLOAT16 = np.dtype(ml_dtypes.bfloat16)
Half = Literal["fp16", "bf16"]
_HALVES = {"fp16": TensorProto.FLOAT16, "bf16": TensorProto.BFLOAT16}
_HALF_ARRAYS: dict[int, np.dtype] = {
    TensorProto.FLOAT16: np.dtype(np.float16),
    TensorProto.BFLOAT16: BFLOAT16,
}

# Tensor cores are for these.
PRODUCTS = {"Conv", "ConvTranspose", "Gemm", "MatMul", "RegionConv"}
# Probabilities and what compares them, interpolation, and sums and powers that leave FP16's range
# or need its digits. Names of operators that do neither are not listed: they follow their input.
_KEEPS_FULL = {
    "ArgMax", "ArgMin", "BatchNormalization", "CumSum", "Exp", "GlobalAveragePool",
    "GroupNormalization", "InstanceNormalization", "LayerNormalization", "Log", "LogSoftmax",
    "LpNormalization", "Pow", "Reciprocal", "ReduceL1", "ReduceL2", "ReduceLogSum",
    "ReduceLogSumExp", "ReduceMean", "ReduceProd", "ReduceSum", "ReduceSumSquare", "RegionSelect",
    "Resize", "Softmax", "Softplus", "Sqrt", "TopK", "Upsample",
    "QuantizeLinear",  # of FP32 only, in this opset
}  # fmt: skip
_SHAPE_ONLY = {"Shape", "Size"}
# The kernel adds the bias in FP32, whatever the rest is in.
_FULL_INPUTS = {"RegionConv": -2}


def to_half(
    model: onnx.ModelProto, half: Half = "fp16", keep: Collection[str] = ()
) -> onnx.ModelProto:
    """The model in mixed FP16 and FP32, or BF16 and FP32, with the inputs and outputs it had.

    Images are normalised in FP32: their operators come before the first product. Casts stand only
    where the type changes: one for each tensor that is read in the other type.

    Args:
        half: the type of products.
        keep: tensors that FP16 cannot hold; what makes or reads one stays in FP32. BF16 holds all.

    Raises:
        LcTrtError: a weight exceeds FP16 and its product is not kept, or an operator has a graph
            inside (If, Loop).
    """
    return _Typing(model, half, keep if half == "fp16" else None).run()


def note_full(
    model: onnx.ModelProto, keep: Collection[str] | None, before: onnx.ModelProto | None = None
) -> onnx.ModelProto:
    """The same model with the names of what its operators compute in FP32 in its metadata.

    Args:
        keep: as for `to_half`; None for bf16, whose range is that of FP32.
        before: the model before passes that made others of its operators: what stands under the
            path of one that wants FP32 (a Resize as bands between rows) does so too.
    """
    choice = _Choice(model, "bf16" if keep is None else "fp16", keep)
    if before is not None:
        choice.parts_of(node.name for node in before.graph.node if node.op_type in _KEEPS_FULL)
    full: list[str] = []
    for node in choice.graph.nodes:
        wanted = choice.wanted(node)
        choice.follow(node, wanted)
        # A comparison gives no floating point and reads some.
        if wanted == FULL and any(map(choice.is_float, (*node.input, *node.output))):
            full += [name for name in node.output if name]
    noted = onnx.ModelProto()
    noted.CopyFrom(model)
    noted.metadata_props.add(key=FP32_TENSORS, value=json.dumps(full))
    return noted


class _Choice:
    """The type that each operator computes in, one after the other.

    Args:
        keep: as for `note_full`.

    """

    def __init__(self, model: onnx.ModelProto, half: Half, keep: Collection[str] | None) -> None:
        self.graph, self.half = EditableGraph(model), _HALVES[half]
        self.limited, self.keep = keep is not None, frozenset(keep or ())
        inferred = onnx.shape_inference.infer_shapes(model).graph
        values = (*inferred.input, *inferred.output, *inferred.value_info)
        self.types = {v.name: v.type.tensor_type.elem_type for v in values}
        self.paths: tuple[str, ...] = ()
        self.decoded_weights = {
            node.output[0]
            for node in self.graph.nodes
            if node.op_type == "DequantizeLinear" and node.input[0] in self.graph.constants
        }

    def parts_of(self, operators: Iterable[str]) -> None:
        """Keep in FP32 what stands under the paths of these operators."""
        self.paths = tuple(f"{name}/" for name in operators if name)

    def is_float(self, name: str) -> bool:
        if name in self.graph.constants:
            return self.graph.constants[name].dtype in (np.float32, *_HALF_ARRAYS.values())
        return self.types.get(name) in (FULL, *_HALF_ARRAYS)

    def wanted(self, node: onnx.NodeProto) -> int:
        """The type that a node computes in."""
        if not self.keep.isdisjoint((*node.input, *node.output)):
            return FULL
        if node.name.startswith(self.paths):
            return FULL
        if node.op_type in PRODUCTS and node.domain in ("", DOMAIN):
            # In FP32 between DQ and Q: scales do not fit into FP16.
            return FULL if self.decodes_weight(node) else self.half
        if node.op_type in _KEEPS_FULL:
            return FULL
        constants = [self.graph.constants[n] for n in node.input if n in self.graph.constants]
        if self.limited and any(exceeds_half(value) for value in constants):
            return FULL
        data = [n for n in node.input if n and n not in self.graph.constants]
        return self.half if any(self.types.get(name) == self.half for name in data) else FULL

    def decodes_weight(self, node: onnx.NodeProto) -> bool:
        """Whether a standard product's weight comes as INT8, for TensorRT to fuse."""
        return len(node.input) > 1 and node.input[1] in self.decoded_weights

    def follow(self, node: onnx.NodeProto, wanted: int) -> None:
        """Note the type of what a node gives."""
        for name in node.output:
            if self.is_float(name):
                self.types[name] = wanted


class _Typing(_Choice):
    def __init__(self, model: onnx.ModelProto, half: Half, keep: Collection[str] | None) -> None:
        super().__init__(model, half, keep)
        self.nodes: list[onnx.NodeProto] = []
        self.casts: dict[tuple[str, int], str] = {}
        self.renamed: dict[str, str] = {}

    def run(self) -> onnx.ModelProto:
        outputs = {output.name for output in self.graph.outputs}
        for node in self.graph.nodes:
            if any(a.HasField("g") or a.graphs for a in node.attribute):
                raise LcTrtError(
                    f"node {node.name!r}: half precision does not reach into the graphs of "
                    f"{node.op_type}; "
                    "build with --fp32"
                )
            for i, name in enumerate(node.input):
                node.input[i] = self.renamed.get(name, name)
            if self.is_cast_between(node) and node.output[0] not in outputs:
                # Which type a tensor is in is decided by who reads it.
                self.renamed[node.output[0]] = node.input[0]
                continue
            if self.is_integer_conv(node):
                self.keep_types(node)
            else:
                self.assign(node, self.wanted(node), outputs)
        self.graph.nodes = self.nodes
        return self.graph.model()

    def is_cast_between(self, node: onnx.NodeProto) -> bool:
        is_cast = node.op_type == "Cast" and attributes(node)["to"] in (FULL, *_HALF_ARRAYS)
        return is_cast and self.is_float(node.input[0])

    def is_integer_conv(self, node: onnx.NodeProto) -> bool:
        """Whether a node is a RegionConv in INT8, which says itself what it gives."""
        return node.op_type == "RegionConv" and self.types.get(node.input[0]) == TensorProto.INT8

    def keep_types(self, conv: onnx.NodeProto) -> None:
        """Of what a RegionConv in INT8 reads only a floating residual has its result's type."""
        residual = conv.input[-1]
        if self.is_float(residual):
            conv.input[len(conv.input) - 1] = self.typed(residual, self.types[conv.output[0]], conv)
        self.nodes.append(conv)

    def assign(self, node: onnx.NodeProto, wanted: int, outputs: set[str]) -> None:
        """Give a node its inputs in one type, and note that of its outputs."""
        full = _FULL_INPUTS.get(node.op_type)
        for i, name in enumerate(node.input):
            if not self.is_float(name) or node.op_type in (*_SHAPE_ONLY, "Cast"):
                continue
            kept = full is not None and i == len(node.input) + full
            node.input[i] = self.typed(name, FULL if kept else wanted, node)
        self.nodes.append(node)
        for i, name in enumerate(node.output):
            if name and not self.types.get(name):
                raise LcTrtError(
                    f"node {node.name!r}: the type of what {node.op_type} gives could not be "
                    "inferred; build with --fp32"
                )
            if node.op_type == "Cast" or not self.is_float(name):
                continue
            if name in outputs and wanted != self.types[name]:
                # A graph output keeps its type.
                node.output[i] = self.graph.unique(f"{name}/uncast")
                self.types[node.output[i]] = wanted
                self.casts[name, wanted] = node.output[i]
                cast = self.graph.make(
                    "Cast", [node.output[i]], f"{name}/cast", outputs=[name], to=self.types[name]
                )
                self.nodes.append(cast)
            else:
                self.types[name] = wanted

    def typed(self, name: str, wanted: int, node: onnx.NodeProto) -> str:
        """A tensor or constant in the wanted type: itself, or its one cast."""
        if name in self.graph.constants:
            return self.constant(name, wanted, node)
        if self.types[name] == wanted:
            return name
        key = (name, wanted)
        if key not in self.casts:
            suffix = "full" if wanted == FULL else "half"
            cast = self.graph.make("Cast", [name], f"{name}/{suffix}", to=wanted)
            self.nodes.append(cast)
            self.casts[key] = cast.output[0]
            self.types[cast.output[0]] = wanted
        return self.casts[key]

    def constant(self, name: str, wanted: int, node: onnx.NodeProto) -> str:
        value = self.graph.constants[name]
        key = (name, wanted)
        if key not in self.casts:
            kind = _HALF_ARRAYS.get(wanted, np.dtype(np.float32))
            if value.dtype == kind:
                self.casts[key] = name
            elif wanted == FULL:
                self.casts[key] = self.graph.constant(f"{name}/full", value, kind)
            else:
                self.casts[key] = self.graph.constant(
                    f"{name}/half", self.in_half(name, node), kind
                )
        return self.casts[key]

    def in_half(self, name: str, node: onnx.NodeProto) -> np.ndarray:
        value = self.graph.constants[name]
        if not self.limited:
            return value.astype(_HALF_ARRAYS[self.half])
        try:
            return as_half(name, value)
        except LcTrtError as error:
            raise LcTrtError(f"node {node.name!r}: {error}; build with --fp32") from error


def exceeds_half(value: np.ndarray) -> bool:
    """Whether FP16 cannot hold a constant."""
    largest = np.finfo(np.float16).max
    return bool(value.dtype == np.float32 and value.size and np.abs(value).max() > largest)
