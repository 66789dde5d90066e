"""1x1 branches that read the same rows become one product."""

from __future__ import annotations

from typing import Any

import numpy as np
import onnx

from lc_trt.compiler.graph import EditableGraph, attributes
from lc_trt.compiler.lower_tensorrt.operators import BIAS, INTEGER, WEIGHT, has_residual, is_conv
from lc_trt.ir.interface import DOMAIN


def merge_branches(model: onnx.ModelProto) -> onnx.ModelProto:
    """One wide RegionConv and a Split for several that differ in their weights only.

    Only where region convolutions alone read the branches, directly or concatenated: these can
    read a part of a tensor's channels, so that the Split disappears (`segments`).
    """
    graph = EditableGraph(model)
    groups = {group[0].name: group for group in _groups(graph) if len(group) > 1}
    merged = {node.name for group in groups.values() for node in group}
    nodes: list[onnx.NodeProto] = []
    for node in graph.nodes:
        if node.name in groups:
            # Where the first was: the others read the same, and nothing that comes later.
            nodes += _merge(graph, groups[node.name])
        elif node.name not in merged:
            nodes.append(node)
    graph.nodes = nodes
    return graph.model()


def _groups(graph: EditableGraph) -> list[list[onnx.NodeProto]]:
    readers: dict[str, list[tuple[onnx.NodeProto, int]]] = {}
    for node in graph.nodes:
        for at, name in enumerate(node.input):
            readers.setdefault(name, []).append((node, at))
    wanted = {output.name for output in graph.outputs}
    groups: dict[tuple[Any, ...], list[onnx.NodeProto]] = {}
    for node in graph.nodes:
        if not is_conv(node) or has_residual(graph, node):
            continue
        found = attributes(node)
        if list(found["kernel_shape"]) != [1, 1] or not _read_in_parts(node.output[0], readers):
            continue
        if node.output[0] in wanted:
            continue
        scale, relu = found.get("residual_scale", 1.0), found.get("activation", 0)
        key = (*node.input[:WEIGHT], scale, relu, INTEGER in found)
        groups.setdefault(key, []).append(node)
    return list(groups.values())


def _read_in_parts(name: str, readers: dict[str, list[tuple[onnx.NodeProto, int]]]) -> bool:
    """Whether all that reads a tensor are region convolutions, as their ``x``."""
    return all(
        (is_conv(node) and at == 0)
        or (node.op_type == "Concat" and _read_in_parts(node.output[0], readers))
        for node, at in readers.get(name, [])
    )


def _merge(graph: EditableGraph, group: list[onnx.NodeProto]) -> list[onnx.NodeProto]:
    first = group[0]
    weight, bias = (
        np.concatenate([graph.constants[node.input[at]] for node in group]) for at in (WEIGHT, BIAS)
    )
    sizes = [graph.constants[node.input[BIAS]].size for node in group]
    p = f"{first.name}/merged"
    conv = graph.make(
        "RegionConv",
        [
            *first.input[:WEIGHT],
            graph.constant(f"{p}/weight", weight, weight.dtype),
            graph.constant(f"{p}/bias", bias, bias.dtype),
            *first.input[BIAS + 1 :],
        ],
        p,
        domain=DOMAIN,
        **attributes(first),
    )
    split = graph.make(
        "Split",
        [conv.output[0], graph.constant(f"{p}/sizes", sizes, np.int64)],
        f"{p}/split",
        outputs=[node.output[0] for node in group],
        axis=1,
    )
    return [conv, split]
