"""Region operators as TensorRT's parser takes them for plugins."""

from __future__ import annotations

import onnx
from onnx import helper

from lc_trt.compiler.graph import EditableGraph
from lc_trt.compiler.lower_tensorrt.operators import is_region
from lc_trt.ir.functions import region_function
from lc_trt.ir.interface import PLUGIN_ATTRIBUTES
from lc_trt.ir.region_ops import OPERATORS


def name_plugins(model: onnx.ModelProto) -> onnx.ModelProto:
    """Every region operator says which plugin it is.

    The functions of the exchange format are replaced by this version's: those of an older file
    may not take what was changed around them.
    """
    graph = EditableGraph(model)
    for node in graph.nodes:
        if not is_region(node):
            continue
        kept = [a for a in node.attribute if a.name not in PLUGIN_ATTRIBUTES]
        del node.attribute[:]
        node.attribute.extend(kept)
        node.attribute.extend(helper.make_attribute(*item) for item in PLUGIN_ATTRIBUTES.items())
        if not is_region(node, "RegionConv", "RegionQuantize"):
            graph.add_function(region_function(OPERATORS[node.op_type]))
    return graph.model()
