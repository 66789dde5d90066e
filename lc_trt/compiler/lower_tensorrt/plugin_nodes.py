"""Complete region operators for TensorRT's parser."""

from __future__ import annotations

from typing import ClassVar

from lc_trt.compiler.graph import Graph
from lc_trt.compiler.pass_manager import PassReport
from lc_trt.ir.interface import PLUGIN_ATTRIBUTES
from lc_trt.ir.node_view import NodeView
from lc_trt.ir.operator_schema import Form, is_region
from lc_trt.ir.plugin_functions import plugin_function
from lc_trt.ir.region_ops import OPERATORS


class PluginNodes:
    """Adds the plugin's name, version and all attributes to each region operator, and its function.

    The parser warns about each omitted plugin attribute. Functions of the exchange format are
    replaced by current ones, because those of an older file may not accept the lowered nodes.
    """

    name: ClassVar[str] = "plugin_nodes"

    def apply(self, graph: Graph) -> PassReport:
        """Complete the nodes; the report counts them.

        Args:
            graph: graph to edit in place.
        """
        report = PassReport()
        for node in graph.nodes:
            if not is_region(node):
                continue
            view = NodeView(node)
            for name, value in (view.attributes() | PLUGIN_ATTRIBUTES).items():
                view.set_attribute(name, value)
            graph.add_function(plugin_function(OPERATORS[node.op_type], Form.parse(node.overload)))
            report.rewrites += 1
        return report
