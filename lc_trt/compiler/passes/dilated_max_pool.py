"""Dilated max pooling as maxima of shifted maps: OpenVINO runs it on a reference kernel else."""

from __future__ import annotations

import numpy as np
import onnx

from lc_trt.compiler.graph import EditableGraph, attributes


def shift_dilated_pools(model: onnx.ModelProto) -> onnx.ModelProto:
    """Every dilated MaxPool at stride 1 becomes pad, slices and maxima, rows then columns.

    2 x 3 slices for a 3x3 window, instead of one kernel that is not optimised (200 ms a frame
    in Inception-ResNet-v2 on two cores).
    """
    graph = EditableGraph(model)
    nodes: list[onnx.NodeProto] = []
    for node in graph.nodes:
        found = attributes(node) if node.op_type == "MaxPool" and node.domain == "" else {}
        dilations = list(found.get("dilations", [1, 1]))
        strides = list(found.get("strides", [1, 1]))
        if max(dilations) == 1 or strides != [1, 1] or len(dilations) != 2:
            nodes.append(node)
            continue
        nodes += _shifted(graph, node, list(found["kernel_shape"]), dilations, list(found["pads"]))
    graph.nodes = nodes
    return graph.model()


def _shifted(
    graph: EditableGraph,
    node: onnx.NodeProto,
    kernel: list[int],
    dilations: list[int],
    pads: list[int],
) -> list[onnx.NodeProto]:
    p = node.name
    widths = graph.constant(f"{p}/pads", [0, 0, *pads[:2], 0, 0, *pads[2:]], "int64")
    lowest = graph.constant(f"{p}/lowest", np.finfo(np.float32).min, "float32")
    nodes = [graph.make("Pad", [node.input[0], widths, lowest], f"{p}/padded")]
    for axis, taps, step in zip((2, 3), kernel, dilations, strict=True):
        x, maps = nodes[-1].output[0], []
        axes = graph.constant(f"{p}/axis{axis}", [axis], "int64")
        for tap in range(taps):
            start = graph.constant(f"{p}/start", [tap * step], "int64")
            # Counted from the end, so that the map's own size is not needed.
            back = (taps - 1 - tap) * step
            end = graph.constant(f"{p}/end", [-back if back else np.iinfo(np.int64).max], "int64")
            nodes.append(graph.make("Slice", [x, start, end, axes], f"{p}/slice{axis}_{tap}"))
            maps.append(nodes[-1].output[0])
        nodes.append(graph.make("Max", maps, f"{p}/max{axis}"))
    nodes[-1].output[0] = node.output[0]
    return nodes
