"""Check that no TensorRT layers of its own operate on rows."""

from __future__ import annotations

from typing import ClassVar

import onnx
from onnx import TensorProto

from lc_trt.compiler.graph import Graph
from lc_trt.compiler.lower_tensorrt.operators import row_tensors
from lc_trt.compiler.pass_manager import PassReport
from lc_trt.errors import LcTrtError
from lc_trt.ir.node_view import NodeView
from lc_trt.ir.operator_schema import is_region


def refusal(node: onnx.NodeProto, tensor: str) -> LcTrtError:
    """Create the error for a node that cannot read rows.

    Args:
        node: reader of the rows.
        tensor: tensor of rows.
    """
    return LcTrtError(
        f"node {node.name!r} ({node.op_type}) reads {tensor!r}, rows of a region; in TensorRT, "
        "only region operators know the number of valid rows; build with --backend openvino, or "
        "export the network with a region operator instead"
    )


class Verify:
    """Checks for standard operators on rows, and for UINT8 inside the network.

    Raises LcTrtError that names such a node.
    """

    name: ClassVar[str] = "verify"

    def apply(self, graph: Graph) -> PassReport:
        """Check; nothing is rewritten.

        Args:
            graph: is only read.
        """
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
                    f"node {node.name!r} casts to UINT8 inside the network; TensorRT supports "
                    "UINT8 inputs and outputs only"
                )
        return PassReport()
