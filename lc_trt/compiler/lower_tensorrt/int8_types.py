"""Selects the tensors of rows that are INT8, and their scales.

A tensor of rows is INT8 if all of its readers support INT8. Otherwise it is floating point, and
RegionQuantize quantises it for its INT8 readers. All rows of a quantised dense map exist in both
types, before and after their DequantizeLinear.
"""

from __future__ import annotations

from collections.abc import Mapping

import numpy as np
import onnx

from lc_trt.compiler.graph import Array, Graph
from lc_trt.compiler.lower_tensorrt.operators import (
    LoweringState,
    region_conv,
    row_tensors,
)
from lc_trt.ir.node_view import NodeView
from lc_trt.ir.operator_schema import is_region
from lc_trt.ir.region_ops import (
    REGION_CONV,
    REGION_GATHER,
    REGION_MAX_POOL,
    REGION_RESTRICT,
)


class RowTypes:
    """Types and scales of the rows of a lowered model.

    Args:
        graph: graph after `int8_maps.Int8Maps`.
        state: shared state of the lowering.
        scales: scales by tensor name of the calibrated model.

    Attributes:
        scales: float32 [C] by tensor of rows, NaN for uncalibrated channels; by the output of
            DequantizeLinear for all rows of a dense map.
        int8: tensors of rows that are INT8.
    """

    def __init__(self, graph: Graph, state: LoweringState, scales: Mapping[str, float]) -> None:
        self._state = state
        self._dequantizers = {
            node.output[0]: NodeView(node)
            for node in graph.nodes
            if node.op_type == "DequantizeLinear"
        }
        self.scales = self._scales_of_channels(graph, scales)
        self.int8 = self._int8_tensors(graph)

    def dequantizer(self, x: str) -> NodeView | None:
        """The DequantizeLinear that a tensor comes from.

        Args:
            x: map, or all rows of one.

        Returns:
            A view, or None if the map is not quantised.
        """
        return self._dequantizers.get(x)

    def _scales_of_channels(
        self, graph: Graph, calibrated: Mapping[str, float]
    ) -> dict[str, Array]:
        ranges = self._state.channels
        widths: dict[str, int] = {}
        for pieces in ranges.values():
            for piece in pieces:
                widths[piece.tensor] = max(piece.end, widths.get(piece.tensor, 0))
        scales = {name: np.full(width, np.nan, np.float32) for name, width in widths.items()}
        for name in ranges.keys() & calibrated.keys():
            for piece in ranges[name]:
                scales[piece.tensor][piece.begin : piece.end] = calibrated[name]
        for node in graph.nodes:
            if is_region(node, REGION_GATHER):
                gather = NodeView(node)
                dequantizer = self.dequantizer(gather.input("x"))
                if dequantizer is not None:
                    scale = graph.constants[dequantizer.input("x_scale")]
                    scales[gather.output("y")][:] = scale
            elif is_region(node, REGION_CONV, REGION_RESTRICT, REGION_MAX_POOL):
                for x in NodeView(node).inputs("x"):
                    dequantizer = self.dequantizer(x)
                    if dequantizer is not None:
                        _, channels = graph.dims(x) or (None, None)
                        assert channels is not None, "segments inferred it"
                        scale = graph.constants[dequantizer.input("x_scale")]
                        scales[x] = np.full(channels, scale, np.float32)
            if moves_rows(node):
                # A moved tensor keeps the scale of its input, if that is known.
                view = NodeView(node)
                source = scales[view.input("x")]
                if not np.isnan(source).any():
                    scales[view.output("y")] = source
        return scales

    def _int8_tensors(self, graph: Graph) -> frozenset[str]:
        rows = row_tensors(graph.nodes)
        # Whether each reader supports INT8, by tensor.
        readers: dict[str, set[bool]] = {name: set() for name in rows}
        int8: set[str] = set()
        for node in reversed(graph.nodes):
            output = node.output[0]
            may_be = readers.get(output) == {True} and self.known(output)
            conv = region_conv(node)
            if conv is not None and node.name in self._state.int8_convolutions:
                residual = conv.input("residual")
                added = residual if residual in rows else None
                one_scale = added is None or self._one_scale(added)
                if may_be and one_scale and (added is None or self._one_scale(output)):
                    int8.add(output)
                for x in rows.intersection(conv.inputs("x")):
                    readers[x].add(True)
                # A floating-point result accepts a residual in either type.
                if added is not None and (output in int8 or not one_scale):
                    readers[added].add(one_scale)
            elif moves_rows(node):
                x = NodeView(node).input("x")
                may_be = may_be and self._one_scale(x)
                if x in rows:
                    readers[x].add(may_be)
                int8 |= {output} if may_be else set()
            elif is_region(node, REGION_GATHER):
                quantised = self.dequantizer(NodeView(node).input("x")) is not None
                int8 |= {output} if may_be and quantised else set()
            else:
                for name in rows.intersection(node.input):
                    readers[name].add(False)
        return frozenset(int8)

    def known(self, name: str) -> bool:
        """Whether all channels of a tensor have a scale.

        Args:
            name: name of a tensor of rows.
        """
        return name in self.scales and not np.isnan(self.scales[name]).any()

    def _one_scale(self, name: str) -> bool:
        """Whether all channels have the same scale, as additions and moves require."""
        return self.known(name) and bool((self.scales[name] == self.scales[name][0]).all())


def moves_rows(node: onnx.NodeProto) -> bool:
    """Whether an operator selects values from rows, per channel.

    Args:
        node: node of any operator.
    """
    return is_region(node, REGION_RESTRICT, REGION_MAX_POOL)
