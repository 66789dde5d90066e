"""What TensorRT must not get: its own layers on a region's rows."""

from __future__ import annotations

from typing import ClassVar

import onnx
from onnx import TensorProto

from lc_trt.compiler.graph import Graph
from lc_trt.compiler.lower_tensorrt.operators import row_tensors
from lc_trt.compiler.pass_manager import PassReport
from lc_trt.errors import LcTrtError
from lc_trt.ir.node_view import NodeView
from lc_trt.ir.region_ops import is_region


def refusal(node: onnx.NodeProto, tensor: str) -> LcTrtError:
    """Why a node cannot read rows that no region operator made for it.

    Args:
        node: the reader.
        tensor: the rows.
    """
    return LcTrtError(
        f"node {node.name!r} ({node.op_type}) reads {tensor!r}, rows of a region; under TensorRT "
        "these have room for every pixel and only region operators know how many are valid; "
        "build with --backend openvino, or export the network so that a region operator does it"
    )


class Verify:
    """Refuses standard operators on rows of a region, and UINT8 inside the network.

    Raises LcTrtError with the name of such a node.
    """

    name: ClassVar[str] = "verify"

    def apply(self, graph: Graph) -> PassReport:
        """Check; nothing is rewritten."""
        rows = row_tensors(graph.nodes)
        outputs = {output.name for output in graph.outputs}
        for node in graph.nodes:
            if is_region(node):
                continue
            for name in node.input:
                if name in rows:
                    raise refusal(node, name)
            if node.op_type != "Cast" or node.domain != "":
                continue
            cast = NodeView(node)
            if cast.attribute("to") == TensorProto.UINT8 and cast.output("output") not in outputs:
                raise LcTrtError(
                    f"node {node.name!r} casts to UINT8 inside the network; TensorRT takes UINT8 "
                    "as an input and output of the network only"
                )
        return PassReport()
