"""Half precision: FP16 or BF16 types in the graph, or a list of tensors that stay in FP32.

`ToHalf` changes the types of the graph, which a strongly typed TensorRT network computes in.
`NoteFp32` lists the FP32 tensors in the metadata, for an engine that converts the network to half
precision itself.
"""

from __future__ import annotations

import json
from collections.abc import Collection
from dataclasses import dataclass
from typing import ClassVar

import numpy as np
import onnx

from lc_trt.compiler.graph import Array, Graph
from lc_trt.compiler.pass_manager import PassReport
from lc_trt.compiler.passes.fp16_weights import as_half
from lc_trt.compiler.passes.precision_choice import (
    FULL,
    HALF_ARRAYS,
    PrecisionChoice,
)
from lc_trt.compiler.precision import Precision
from lc_trt.errors import LcTrtError
from lc_trt.ir.interface import FP32_TENSORS
from lc_trt.ir.node_view import NodeView
from lc_trt.ir.operator_schema import Form, is_region
from lc_trt.ir.region_ops import REGION_CONV

_SHAPE_ONLY = {"Shape", "Size"}


@dataclass(frozen=True)
class ToHalf:
    """Converts the model to mixed FP16 (or BF16) and FP32, with the same inputs and outputs.

    Images are normalised in FP32, before the first product. A tensor that is read in the other type
    gets exactly one Cast.

    Raises LcTrtError if a weight exceeds FP16 and its product is not in ``keep``, or an operator
    has a subgraph (If, Loop).

    Attributes:
        precision: precision of products.
        keep: tensors that exceed FP16; their producers and readers stay in FP32. BF16 ignores it.
    """

    name: ClassVar[str] = "to_half"
    precision: Precision = Precision.FP16
    keep: Collection[str] = ()

    def apply(self, graph: Graph) -> PassReport:
        """Assign a type to every operator."""
        return _Typing(graph, self.precision, self.keep).run()


@dataclass(frozen=True)
class NoteFp32:
    """Lists the tensors that are computed in FP32 in the metadata.

    Attributes:
        precision: precision of the engine.
        keep: tensors that exceed FP16; BF16 ignores it.
    """

    name: ClassVar[str] = "note_fp32"
    precision: Precision
    keep: Collection[str] = ()

    def apply(self, graph: Graph) -> PassReport:
        """Add the metadata entry."""
        choice = PrecisionChoice(graph, self.precision, self.keep)
        report, full = PassReport(), list[str]()
        for node in graph.nodes:
            reason = choice.reason_for_full(node)
            choice.follow(node, choice.half if reason is None else FULL)
            if reason is None:
                report.rewrites += 1
            # Includes comparisons, which have floating-point inputs only.
            elif any(map(choice.is_float, (*node.input, *node.output))):
                report.skip(node, reason)
                full += [name for name in node.output if name]
        graph.metadata[FP32_TENSORS] = json.dumps(full)
        return report


class _Typing(PrecisionChoice):
    def __init__(self, graph: Graph, precision: Precision, keep: Collection[str]) -> None:
        super().__init__(graph, precision, keep)
        self.nodes: list[onnx.NodeProto] = []
        self.casts: dict[tuple[str, int], str] = {}
        self.renamed: dict[str, str] = {}
        self.report = PassReport()

    def run(self) -> PassReport:
        outputs = {output.name for output in self.graph.outputs}
        for node in self.graph.nodes:
            if any(a.HasField("g") or a.graphs for a in node.attribute):
                raise LcTrtError(
                    f"node {node.name!r}: half precision does not support the subgraphs of "
                    f"{node.op_type}; build with --fp32"
                )
            for i, name in enumerate(node.input):
                node.input[i] = self.renamed.get(name, name)
            if self.is_cast_between(node) and node.output[0] not in outputs:
                # Types are assigned anew, by the readers of a tensor.
                self.renamed[node.output[0]] = NodeView(node).input("input")
            elif is_region(node, REGION_CONV) and Form.parse(node.overload).output is not None:
                self.keep_types(node)
            else:
                self.assign(node, outputs)
        self.graph.nodes = self.nodes
        return self.report

    def is_cast_between(self, node: onnx.NodeProto) -> bool:
        if (node.domain, node.op_type) != ("", "Cast"):
            return False
        view = NodeView(node)
        return view.attribute("to") in (FULL, *HALF_ARRAYS) and self.is_float(view.input("input"))

    def keep_types(self, node: onnx.NodeProto) -> None:
        """Of the inputs of an INT8 RegionConv, only a float residual has the type of its output."""
        conv = NodeView(node)
        residual = conv.input("residual")
        if self.is_float(residual):
            conv.set_input("residual", self.typed(residual, self.types[node.output[0]], node))
        self.nodes.append(node)

    def assign(self, node: onnx.NodeProto, outputs: set[str]) -> None:
        """Convert the inputs of a node to its type, and record the type of its outputs."""
        reason = self.reason_for_full(node)
        element = self.half if reason is None else FULL
        self.note(node, reason)
        # The kernel adds the bias in FP32 in any precision.
        bias = NodeView(node).input("bias") if is_region(node, REGION_CONV) else ""
        for i, name in enumerate(node.input):
            if self.is_float(name) and node.op_type not in (*_SHAPE_ONLY, "Cast"):
                node.input[i] = self.typed(name, FULL if name == bias else element, node)
        self.nodes.append(node)
        for i, name in enumerate(node.output):
            if name and not self.types.get(name):
                raise LcTrtError(
                    f"node {node.name!r}: the output type of {node.op_type} could not be inferred; "
                    "build with --fp32"
                )
            if node.op_type == "Cast" or not self.is_float(name):
                continue
            if name in outputs and element != self.types[name]:
                # A graph output keeps its type.
                node.output[i] = self.graph.unique(f"{name}/uncast")
                self.types[node.output[i]] = element
                self.casts[name, element] = node.output[i]
                cast = self.graph.make(
                    "Cast", [node.output[i]], f"{name}/cast", outputs=[name], to=self.types[name]
                )
                self.nodes.append(cast)
            else:
                self.types[name] = element

    def note(self, node: onnx.NodeProto, reason: str | None) -> None:
        """Report a node that computes in floating point."""
        if reason is None:
            self.report.rewrites += 1
        elif any(map(self.is_float, (*node.input, *node.output))):
            self.report.skip(node, reason)

    def typed(self, name: str, element: int, node: onnx.NodeProto) -> str:
        """A tensor or constant in a type: itself, or its cast."""
        if name in self.graph.constants:
            return self.constant(name, element, node)
        if self.types[name] == element:
            return name
        key = (name, element)
        if key not in self.casts:
            suffix = "full" if element == FULL else "half"
            cast = self.graph.make("Cast", [name], f"{name}/{suffix}", to=element)
            self.nodes.append(cast)
            self.casts[key] = cast.output[0]
            self.types[cast.output[0]] = element
        return self.casts[key]

    def constant(self, name: str, element: int, node: onnx.NodeProto) -> str:
        value = self.graph.constants[name]
        key = (name, element)
        if key not in self.casts:
            kind = HALF_ARRAYS.get(element, np.dtype(np.float32))
            if value.dtype == kind:
                self.casts[key] = name
            elif element == FULL:
                self.casts[key] = self.graph.constant(f"{name}/full", value, kind)
            else:
                half = self.in_half(name, node)
                self.casts[key] = self.graph.constant(f"{name}/half", half, kind)
        return self.casts[key]

    def in_half(self, name: str, node: onnx.NodeProto) -> Array:
        value = self.graph.constants[name]
        if not self.limited:
            return value.astype(HALF_ARRAYS[self.half])
        try:
            return as_half(name, value)
        except LcTrtError as error:
            raise LcTrtError(f"node {node.name!r}: {error}; build with --fp32") from error
