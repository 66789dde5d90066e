"""Give 1x1 convolutions rows of their own region."""

from __future__ import annotations

from typing import ClassVar

import onnx

from lc_trt.compiler.graph import Graph
from lc_trt.compiler.lower_tensorrt.operators import region_conv, selected_regions
from lc_trt.compiler.pass_manager import PassReport
from lc_trt.ir.region_ops import REGION_RESTRICT


class OwnRows:
    """Inserts a RegionRestrict before 1x1 convolutions that read rows of something else.

    The plugin's 1x1 reads row r for row r of the region, without ``index``.
    """

    name: ClassVar[str] = "own_rows"

    def apply(self, graph: Graph) -> PassReport:
        """Insert; the report counts convolutions.

        Args:
            graph: graph to edit in place.
        """
        report, regions = PassReport(), selected_regions(graph.nodes)
        nodes: list[onnx.NodeProto] = []
        for node in graph.nodes:
            conv = region_conv(node)
            if conv is not None and list(conv.attribute("kernel_shape")) == [1, 1]:
                read, own = conv.region(), regions.get(conv.input("rows"))
                if own is not None and read.index != own.index:
                    name = graph.unique(f"{node.name}/rows")
                    nodes.append(REGION_RESTRICT.node(name, [name], region=read, x=conv.input("x")))
                    conv.set_input("x", name)
                    conv.set_input("index", own.index)
                    report.rewrites += 1
            nodes.append(node)
        graph.nodes = nodes
        return report
