"""A common view of Conv and RegionConv."""

from __future__ import annotations

import onnx

from lc_trt.ir.node_view import NodeView
from lc_trt.ir.operator_schema import is_region
from lc_trt.ir.region_ops import REGION_CONV

_NAMES = ("X", "W", "B"), ("x", "weight", "bias")


class Convolution(NodeView):
    """A view of a Conv, or of a RegionConv as in the exchange format.

    Attributes:
        in_region: whether it is a RegionConv.
    """

    def __init__(self, node: onnx.NodeProto) -> None:
        """Create the view.

        Args:
            node: Conv or RegionConv.
        """
        super().__init__(node)
        self.in_region = is_region(node)
        self._x, self._weight, self._bias = _NAMES[self.in_region]

    @property
    def x(self) -> str:
        """Input tensor."""
        return self.input(self._x)

    @property
    def weight(self) -> str:
        """Weight tensor, [Cout, Cin, kh, kw]."""
        return self.input(self._weight)

    @weight.setter
    def weight(self, tensor: str) -> None:
        self.set_input(self._weight, tensor)

    @property
    def bias(self) -> str:
        """Bias tensor, [Cout]; empty for a Conv without one."""
        return self.input(self._bias)

    @bias.setter
    def bias(self, tensor: str) -> None:
        self.set_input(self._bias, tensor)

    @property
    def output_name(self) -> str:
        """Output tensor."""
        return str(self.node.output[0])


def convolution(node: onnx.NodeProto) -> Convolution | None:
    """A view of a Conv or RegionConv; None for another node.

    Args:
        node: node of any operator.
    """
    is_conv = (node.domain, node.op_type) == ("", "Conv")
    return Convolution(node) if is_conv or is_region(node, REGION_CONV) else None
