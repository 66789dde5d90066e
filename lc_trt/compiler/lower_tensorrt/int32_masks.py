"""Convert masks to INT32, because TensorRT's plugins have no BOOL outputs."""

from __future__ import annotations

from typing import ClassVar

import numpy as np
import onnx
from onnx import TensorProto, helper

from lc_trt.compiler.graph import Graph
from lc_trt.compiler.lower_tensorrt.operators import moved_input
from lc_trt.compiler.pass_manager import PassReport
from lc_trt.ir.node_view import NodeView
from lc_trt.ir.operator_schema import is_region
from lc_trt.ir.region_ops import REGION_SELECT


class Int32Masks:
    """Converts ``active`` and ``hard`` of RegionSelect to INT32, 0 or 1.

    Operators that move values move INT32. Other readers of a mask get a Cast to BOOL; Casts of a
    mask to INT32 are removed.
    """

    name: ClassVar[str] = "int32_masks"

    def apply(self, graph: Graph) -> PassReport:
        """Convert the masks; the report counts RegionSelect nodes.

        Args:
            graph: graph to edit in place.
        """
        selects = [NodeView(node) for node in graph.nodes if is_region(node, REGION_SELECT)]
        masks = _masks(graph)
        producers = graph.edges().producers
        casts: dict[int, onnx.NodeProto] = {}  # to insert before the RegionSelect with this id
        for select in selects:
            active = select.input("active")
            if active in masks:
                continue
            if active in graph.constants:
                value = graph.constants[active]
                select.set_input("active", graph.constant(f"{active}/int32", value, np.int32))
            elif active in producers and producers[active].op_type == "ConstantOfShape":
                _fill_int32(NodeView(producers[active]))
                masks.add(active)
            else:
                cast = graph.make("Cast", [active], f"{active}/int32", to=TensorProto.INT32)
                casts[id(select.node)] = cast
                select.set_input("active", cast.output[0])
        _cast_for_readers(graph, masks, casts)
        return PassReport(len(selects))


def _masks(graph: Graph) -> set[str]:
    """Outputs ``hard``, and tensors inside the graph to which these are only moved."""
    outputs = {output.name for output in graph.outputs}
    masks: set[str] = set()
    for node in graph.nodes:
        if is_region(node, REGION_SELECT):
            masks.add(NodeView(node).output("hard"))
        elif moved_input(node) in masks and node.output[0] not in outputs:
            masks.add(node.output[0])
    return masks


def _fill_int32(node: NodeView) -> None:
    value = int(onnx.numpy_helper.to_array(node.attribute("value")).item())
    node.set_attribute("value", helper.make_tensor("value", TensorProto.INT32, [1], [value]))


def _cast_for_readers(graph: Graph, masks: set[str], casts: dict[int, onnx.NodeProto]) -> None:
    renamed: dict[str, str] = {}
    as_bool: dict[str, str] = {}
    nodes: list[onnx.NodeProto] = []
    for node in graph.nodes:
        if id(node) in casts:
            nodes.append(casts[id(node)])
        if node.op_type == "Cast" and node.domain == "" and not masks.isdisjoint(node.input):
            if NodeView(node).attribute("to") == TensorProto.INT32:
                renamed[node.output[0]] = NodeView(node).input("input")
                continue
        # The shape does not depend on the type.
        elif not (
            is_region(node, REGION_SELECT)
            or node.output[0] in masks
            or node.op_type in ("Shape", "Size")
        ):
            for i, name in enumerate(node.input):
                if name not in masks:
                    continue
                if name not in as_bool:
                    nodes.append(graph.make("Cast", [name], f"{name}/bool", to=TensorProto.BOOL))
                    as_bool[name] = nodes[-1].output[0]
                node.input[i] = as_bool[name]
        nodes.append(node)
    graph.nodes = nodes
    graph.rename_uses(renamed)
