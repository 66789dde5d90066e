"""What the tests of TensorRT for RTX share."""

from __future__ import annotations

import onnx

from lc_trt.ir.interface import DOMAIN

CAPABILITIES = ("7.5", "8.0", "8.6", "8.9", "12.0")
SIZE = (48, 72)


def created_plugins(log: list[str]) -> list[str]:
    """Operators that the parser made into plugins, from TensorRT's log."""
    return [line.rpartition(" ")[2] for line in log if "created plugin: Region" in line]


def regions(model: onnx.ModelProto) -> list[onnx.NodeProto]:
    """The region operators of a model, in order."""
    return [node for node in model.graph.node if node.domain == DOMAIN]
