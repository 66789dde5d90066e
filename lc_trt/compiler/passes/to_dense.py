"""A cascade's dense network: every region is the whole map, and only the last head stays."""

from __future__ import annotations

from dataclasses import replace
from typing import Any

import onnx

from lc_trt.compiler.graph import EditableGraph, attributes
from lc_trt.errors import LcTrtError
from lc_trt.ir.interface import DOMAIN
from lc_trt.ir.metadata import read_info, write_info


def densify(model: onnx.ModelProto) -> onnx.ModelProto:
    """The dense network with the same weights; equal to the cascade at rho = 1.

    Channels are axis 1 of maps and of compact rows alike, so all standard operators
    inside a stage carry over unchanged; heads 1 and 2 lose their readers and disappear.
    """
    graph = EditableGraph(model)
    renamed: dict[str, str] = {}
    nodes: list[onnx.NodeProto] = []
    for node in graph.nodes:
        if node.domain != DOMAIN:
            nodes.append(node)
        elif node.op_type in ("RegionGather", "RegionRestrict", "RegionScatter"):
            renamed[node.output[0]] = node.input[0]
        elif node.op_type == "RegionConv":
            nodes += _conv(graph, node)
        elif node.op_type == "RegionMaxPool":
            nodes.append(
                graph.make(
                    "MaxPool", node.input[:1], f"{node.name}/dense",
                    outputs=list(node.output), **_window(node),
                )
            )  # fmt: skip
        elif node.op_type != "RegionSelect":
            raise LcTrtError(f"node {node.name!r}: no dense form for {DOMAIN}.{node.op_type}")
    graph.nodes = nodes
    graph.rename_uses(renamed)
    graph.inputs = [i for i in graph.inputs if i.name != "rho"]
    graph.outputs = [o for o in graph.outputs if o.name != "stages"]
    dense = graph.model()
    info = read_info(model)
    if info is not None:
        write_info(dense, replace(info, kind="dense"))
    return dense


def _window(node: onnx.NodeProto) -> dict[str, Any]:
    found = attributes(node)
    kernel, dilations = list(found["kernel_shape"]), list(found["dilations"])
    pads = [d * (k // 2) for k, d in zip(kernel, dilations, strict=True)]
    return {"kernel_shape": kernel, "dilations": dilations, "pads": pads * 2}


def _conv(graph: EditableGraph, node: onnx.NodeProto) -> list[onnx.NodeProto]:
    """Conv, then the residual and the activation if the region convolution carries them."""
    x, weight, bias, residual = node.input[0], node.input[4], node.input[5], node.input[6]
    found = attributes(node)
    nodes = [graph.make("Conv", [x, weight, bias], f"{node.name}/dense", **_window(node))]
    if found.get("residual_scale", 1.0) != 1.0:
        factor = graph.constant(f"{node.name}/residual_scale", found["residual_scale"], "float32")
        nodes.append(graph.make("Mul", [nodes[-1].output[0], factor], f"{node.name}/scale"))
    if residual not in graph.constants:
        nodes.append(graph.make("Add", [nodes[-1].output[0], residual], f"{node.name}/add"))
    if found.get("activation", 0):
        nodes.append(graph.make("Relu", [nodes[-1].output[0]], f"{node.name}/relu"))
    nodes[-1].output[0] = node.output[0]
    return nodes
