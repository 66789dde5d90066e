"""The dense form of a cascade: every region is the whole map, and only the last head remains."""

from __future__ import annotations

from dataclasses import dataclass, replace
from typing import Any, ClassVar

import onnx

from lc_trt.compiler.graph import Graph
from lc_trt.compiler.pass_manager import PassReport
from lc_trt.errors import LcTrtError
from lc_trt.ir.interface import DOMAIN, MODEL_INFO, RHO, STAGES
from lc_trt.ir.metadata import decode_info, encode_info
from lc_trt.ir.node_view import NodeView
from lc_trt.ir.operator_schema import is_region
from lc_trt.ir.provenance import Producers, RepeatedIndex, map_of_rows, repeated_index
from lc_trt.ir.region_ops import (
    REGION_CONV,
    REGION_GATHER,
    REGION_MAX_POOL,
    REGION_RESTRICT,
    REGION_SCATTER,
    REGION_SELECT,
)


@dataclass(frozen=True)
class ToDense:
    """Converts a cascade to the dense network with the same weights, equal to it at rho = 1.

    Channels are axis 1 of both maps and compact rows, so standard operators inside a stage do not
    change. Rows of the parents of a region's cells become a map at half the stride. Heads without
    readers are removed. Raises LcTrtError for a region operator without a dense form.
    """

    name: ClassVar[str] = "to_dense"

    def apply(self, graph: Graph) -> PassReport:
        """Replace every region operator."""
        report = PassReport()
        renamed: dict[str, str] = {}
        nodes: list[onnx.NodeProto] = []
        producers = graph.edges().producers
        for node in graph.nodes:
            if not is_region(node):
                nodes.append(node)
                continue
            report.rewrites += 1
            if is_region(node, REGION_CONV, REGION_MAX_POOL):
                rows = NodeView(node).input("x")
                if (dense := map_of_rows(rows, producers)) is not None:
                    renamed[rows] = dense
            if is_region(node, REGION_GATHER, REGION_SCATTER):
                renamed[node.output[0]] = NodeView(node).input("x")
            elif is_region(node, REGION_RESTRICT):
                nodes += _restrict(graph, node, producers, renamed)
            elif is_region(node, REGION_CONV):
                nodes += _conv(graph, node)
            elif is_region(node, REGION_MAX_POOL):
                nodes.append(_max_pool(graph, node))
            elif not is_region(node, REGION_SELECT):
                raise LcTrtError(f"node {node.name!r}: no dense form for {DOMAIN}.{node.op_type}")
        graph.nodes = nodes
        graph.rename_uses(renamed)
        graph.inputs = [i for i in graph.inputs if i.name != RHO]
        graph.outputs = [o for o in graph.outputs if o.name != STAGES]
        if MODEL_INFO in graph.metadata:
            info = decode_info(graph.metadata[MODEL_INFO])
            graph.metadata[MODEL_INFO] = encode_info(replace(info, kind="dense"))
        return report


def _restrict(
    graph: Graph, node: onnx.NodeProto, producers: Producers, renamed: dict[str, str]
) -> list[onnx.NodeProto]:
    view = NodeView(node)
    x, index = view.input("x"), view.input("index")
    repeated = repeated_index(index, producers)
    if repeated is not None:
        return _repeat(graph, node, repeated)
    if index not in producers or not is_region(producers[index], REGION_SELECT):
        raise LcTrtError(f"node {node.name!r}: no dense form for its index {index!r}")
    renamed[node.output[0]] = x
    return []


def _repeat(graph: Graph, node: onnx.NodeProto, repeated: RepeatedIndex) -> list[onnx.NodeProto]:
    """Nearest-neighbour Resize to the children's map: each gets the value of its parent."""
    x = NodeView(node).input("x")
    channels = graph.make("Shape", [x], f"{node.name}/channels", start=0, end=2)
    sizes = [
        graph.make("Shape", [parents], f"{node.name}/size{axis}")
        for axis, parents in enumerate(repeated.parents)
    ]
    parts = [shape.output[0] for shape in (channels, *sizes)]
    size = graph.make("Concat", parts, f"{node.name}/sizes", axis=0)
    # For 2 h or 2 h - 1 children of h parents, floor(i * h / children) is exactly i // 2.
    resize = graph.make(
        "Resize", [x, "", "", size.output[0]], f"{node.name}/dense", outputs=list(node.output),
        mode="nearest", coordinate_transformation_mode="asymmetric", nearest_mode="floor",
    )  # fmt: skip
    return [channels, *sizes, size, resize]


def _window(view: NodeView) -> dict[str, Any]:
    kernel, dilations = list(view.attribute("kernel_shape")), list(view.attribute("dilations"))
    pads = [d * (k // 2) for k, d in zip(kernel, dilations, strict=True)]
    return {"kernel_shape": kernel, "dilations": dilations, "pads": pads * 2}


def _max_pool(graph: Graph, node: onnx.NodeProto) -> onnx.NodeProto:
    view = NodeView(node)
    return graph.make(
        "MaxPool", [view.input("x")], f"{node.name}/dense", outputs=list(node.output),
        **_window(view),
    )  # fmt: skip


def _conv(graph: Graph, node: onnx.NodeProto) -> list[onnx.NodeProto]:
    """Conv, followed by the residual and activation of the region convolution, if any."""
    view = NodeView(node)
    inputs = [view.input(name) for name in ("x", "weight", "bias")]
    nodes = [graph.make("Conv", inputs, f"{node.name}/dense", **_window(view))]
    scale, residual = view.attribute("residual_scale"), view.input("residual")
    if scale != 1.0:
        factor = graph.constant(f"{node.name}/residual_scale", scale, "float32")
        nodes.append(graph.make("Mul", [nodes[-1].output[0], factor], f"{node.name}/scale"))
    if residual not in graph.constants:
        nodes.append(graph.make("Add", [nodes[-1].output[0], residual], f"{node.name}/add"))
    if view.attribute("activation"):
        nodes.append(graph.make("Relu", [nodes[-1].output[0]], f"{node.name}/relu"))
    nodes[-1].output[0] = node.output[0]
    return nodes
