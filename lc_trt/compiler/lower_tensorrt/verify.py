"""What TensorRT must not be given: its own layers on a region's rows."""

from __future__ import annotations

import onnx
from onnx import TensorProto

from lc_trt.compiler.graph import attributes
from lc_trt.compiler.lower_tensorrt.operators import compact_tensors, is_region
from lc_trt.errors import LcTrtError


def refusal(node: onnx.NodeProto, tensor: str) -> LcTrtError:
    """Why a node cannot read rows that no region operator made for it."""
    return LcTrtError(
        f"node {node.name!r} ({node.op_type}) reads {tensor!r}, rows of a region; under TensorRT "
        "these have room for every pixel and only region operators know how many are valid; "
        "build with --backend openvino, or export the network so that a region operator does it"
    )


def check_lowered(model: onnx.ModelProto) -> None:
    """Refuse standard operators on rows of a region, and UINT8 inside the network.

    Raises:
        LcTrtError: there is such a node; it is named.
    """
    nodes = list(model.graph.node)
    compact = compact_tensors(nodes)
    outputs = {output.name for output in model.graph.output}
    for node in nodes:
        if not is_region(node):
            for name in node.input:
                if name in compact:
                    raise refusal(node, name)
        narrow = node.op_type == "Cast" and attributes(node)["to"] == TensorProto.UINT8
        if narrow and node.output[0] not in outputs:
            raise LcTrtError(
                f"node {node.name!r} casts to UINT8 inside the network; TensorRT takes UINT8 as "
                "an input and output of the network only"
            )
