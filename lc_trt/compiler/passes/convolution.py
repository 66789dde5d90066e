"""Conv and RegionConv under the same names."""

from __future__ import annotations

import onnx

from lc_trt.ir.node_view import NodeView
from lc_trt.ir.region_ops import REGION_CONV, is_region

_NAMES = ("X", "W", "B"), ("x", "weight", "bias")


class Convolution(NodeView):
    """A view of a Conv or RegionConv in the exchange format's form.

    Attributes:
        in_region: whether it is a RegionConv.
    """

    def __init__(self, node: onnx.NodeProto) -> None:
        """Views ``node``."""
        super().__init__(node)
        self.in_region = is_region(node)
        self._x, self._weight, self._bias = _NAMES[self.in_region]

    @property
    def x(self) -> str:
        """The tensor that is convolved."""
        return self.input(self._x)

    @property
    def weight(self) -> str:
        """The tensor of weights, [Cout, Cin, kh, kw]."""
        return self.input(self._weight)

    @weight.setter
    def weight(self, tensor: str) -> None:
        self.set_input(self._weight, tensor)

    @property
    def bias(self) -> str:
        """The tensor of biases, [Cout]; empty for a Conv without."""
        return self.input(self._bias)

    @bias.setter
    def bias(self, tensor: str) -> None:
        self.set_input(self._bias, tensor)

    @property
    def output_name(self) -> str:
        """The tensor that it makes."""
        return str(self.node.output[0])


def convolution(node: onnx.NodeProto) -> Convolution | None:
    """A view of a Conv or RegionConv; None for another node.

    Args:
        node: of any operator.
    """
    is_conv = (node.domain, node.op_type) == ("", "Conv")
    return Convolution(node) if is_conv or is_region(node, REGION_CONV) else None
