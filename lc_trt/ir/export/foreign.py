"""Emitter of modules that have none of their own: torch's exporter, spliced into our graph."""

from __future__ import annotations

import onnx
from onnx import numpy_helper
from torch import nn

from lc_trt.errors import LcTrtError
from lc_trt.ir.builder import GraphBuilder
from lc_trt.ir.export_foreign import trace
from lc_trt.ir.interface import BATCH, HEIGHT, IMAGE, WIDTH


def emit_foreign(module: nn.Module, b: GraphBuilder, x: str, outputs: int) -> list[str]:
    """Add a module by tracing it.

    Args:
        module: maps images, float [N, 3, H, W], to tensors.
        b: builder for the nodes.
        x: normalised images, float [N, 3, H, W].
        outputs: number of tensors that the module returns.

    Returns:
        Names of the tensors, in the module's order.

    Raises:
        LcTrtError: the module needs operators that our compiler does not read.
    """
    names = [f"feature{i}" for i in range(outputs)]
    model = trace(module, names, {IMAGE: {0: BATCH, 2: HEIGHT, 3: WIDTH}})
    _check(model, module)
    # "" is an input that is left out.
    renamed = {"": "", IMAGE: x}
    for weight in model.graph.initializer:
        renamed[weight.name] = b.weight(_relative(weight.name), numpy_helper.to_array(weight))
    for node in model.graph.node:
        for name in node.output:
            renamed[name] = b.unique(_relative(name))
        copy = onnx.NodeProto()
        copy.CopyFrom(node)
        copy.name = b.unique(_relative(node.name or node.op_type))
        copy.input[:] = [renamed[name] for name in node.input]
        copy.output[:] = [renamed[name] for name in node.output]
        b.nodes.append(copy)
    return [renamed[name] for name in names]


def _check(model: onnx.ModelProto, module: nn.Module) -> None:
    for node in model.graph.node:
        if node.domain or any(a.type == onnx.AttributeProto.GRAPH for a in node.attribute):
            kind = f"a {node.domain}" if node.domain else "an ONNX"
            raise LcTrtError(
                f"{type(module).__name__} cannot be exported: node {node.name} is {kind} "
                f"{node.op_type}, expected standard operators without subgraphs; choose another "
                "network"
            )


def _relative(name: str) -> str:
    """The exporter's names of what it folds or finds in a module start with a slash."""
    return name.lstrip("/")
