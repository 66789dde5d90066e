"""Masks as INT32: TensorRT's plugins have no BOOL outputs."""

from __future__ import annotations

import numpy as np
import onnx
from onnx import TensorProto, helper

from lc_trt.compiler.graph import EditableGraph, attributes
from lc_trt.ir.interface import DOMAIN


def int32_masks(model: onnx.ModelProto) -> onnx.ModelProto:
    """What RegionSelect takes as ``active`` and gives as ``hard`` becomes INT32, 0 or 1.

    Its other readers get a Cast to BOOL, but those that cast it to INT32 themselves read it.
    """
    graph = EditableGraph(model)
    selects = [n for n in graph.nodes if n.domain == DOMAIN and n.op_type == "RegionSelect"]
    masks = {node.output[3] for node in selects}
    producers = {output: node for node in graph.nodes for output in node.output}
    for node in selects:
        active = node.input[1]
        if active in masks:
            continue
        if active in graph.constants:
            as_int32 = graph.constant(f"{active}/int32", graph.constants[active], np.int32)
            node.input[1] = as_int32
        elif active in producers and producers[active].op_type == "ConstantOfShape":
            _fill_int32(producers[active])
            masks.add(active)
        else:
            cast = graph.make("Cast", [active], f"{active}/int32", to=TensorProto.INT32)
            graph.nodes.insert(graph.nodes.index(node), cast)
            node.input[1] = cast.output[0]
    _serve_readers(graph, masks)
    return graph.model()


def _fill_int32(node: onnx.NodeProto) -> None:
    value = int(onnx.numpy_helper.to_array(attributes(node)["value"]).item())
    del node.attribute[:]
    filled = helper.make_tensor("value", TensorProto.INT32, [1], [value])
    node.attribute.append(helper.make_attribute("value", filled))


def _serve_readers(graph: EditableGraph, masks: set[str]) -> None:
    renamed: dict[str, str] = {}
    as_bool: dict[str, str] = {}
    kept: list[onnx.NodeProto] = []
    for node in graph.nodes:
        if node.op_type == "Cast" and node.input[0] in masks:
            if attributes(node)["to"] == TensorProto.INT32:
                renamed[node.output[0]] = node.input[0]
                continue
        elif not (node.domain == DOMAIN and node.op_type == "RegionSelect"):
            for i, name in enumerate(node.input):
                # Its shape is that of either type.
                if name not in masks or node.op_type in ("Shape", "Size"):
                    continue
                if name not in as_bool:
                    kept.append(graph.make("Cast", [name], f"{name}/bool", to=TensorProto.BOOL))
                    as_bool[name] = kept[-1].output[0]
                node.input[i] = as_bool[name]
        kept.append(node)
    graph.nodes = kept
    graph.rename_uses(renamed)
