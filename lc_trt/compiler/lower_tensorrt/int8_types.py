"""Which tensors of rows are INT8, and on which scales.

A tensor of rows is made once. It is INT8 if all that reads it takes codes, and floating point
otherwise; then RegionQuantize makes the codes for those that do take them.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence

import numpy as np
import onnx

from lc_trt.compiler.graph import Array, EditableGraph
from lc_trt.compiler.lower_tensorrt.operators import INTEGER, compact_tensors, is_conv, is_region
from lc_trt.compiler.lower_tensorrt.segments import Part

_MOVES = ("RegionRestrict", "RegionMaxPool")
# Inputs of a RegionConv behind its x: rows, index, count, weight, bias and residual.
TAIL = 6


class RowTypes:
    """The types and scales of a lowered model's rows.

    Args:
        graph: with Q and DQ on the map (`integer_maps.quantize_maps`).
        parts: where each tensor of rows that calibration saw is now (`segments.read_segments`).
        scales: by the names that calibration saw.

    Attributes:
        scales: float32 [C] by tensor of rows, NaN where calibration saw nothing.
        integer: the tensors of rows that are INT8.
    """

    def __init__(
        self,
        graph: EditableGraph,
        parts: Mapping[str, Sequence[Part]],
        scales: Mapping[str, float],
    ) -> None:
        self.decoders = {n.output[0]: n for n in graph.nodes if n.op_type == "DequantizeLinear"}
        self.scales = self._scales(graph, parts, scales)
        self.integer = self._integer(graph)

    def decoder(self, gather: onnx.NodeProto) -> onnx.NodeProto | None:
        """The DequantizeLinear that a RegionGather reads; None where the map is not quantised."""
        return self.decoders.get(gather.input[0])

    def _scales(
        self,
        graph: EditableGraph,
        parts: Mapping[str, Sequence[Part]],
        scales: Mapping[str, float],
    ) -> dict[str, Array]:
        channels: dict[str, int] = {}
        for pieces in parts.values():
            for piece in pieces:
                channels[piece.tensor] = max(piece.end, channels.get(piece.tensor, 0))
        found = {name: np.full(count, np.nan, np.float32) for name, count in channels.items()}
        for name in parts.keys() & scales.keys():
            for piece in parts[name]:
                found[piece.tensor][piece.begin : piece.end] = scales[name]
        for node in graph.nodes:
            if is_region(node, "RegionGather"):
                decoder = self.decoder(node)
                if decoder is not None:
                    found[node.output[0]][:] = graph.constants[decoder.input[1]]
            elif is_region(node, *_MOVES):
                # What is only moved keeps its scale; else a maximum has one of its own.
                source = found[node.input[0]]
                if not np.isnan(source).any():
                    found[node.output[0]] = source
        return found

    def _integer(self, graph: EditableGraph) -> frozenset[str]:
        rows = compact_tensors(graph.nodes)
        # By tensor: whether its readers take codes.
        takes: dict[str, set[bool]] = {name: set() for name in rows}
        found: set[str] = set()
        for node in reversed(graph.nodes):
            output = node.output[0]
            codes = takes.get(output) == {True} and self.known(output)
            if is_conv(node) and marked(node):
                added = node.input[-1] if node.input[-1] in rows else None
                one = added is None or self._one_scale(added)
                if codes and one and (added is None or self._one_scale(output)):
                    found.add(output)
                for x in node.input[:-TAIL]:
                    takes[x].add(True)
                # A floating result takes what it adds in either form.
                if added is not None and (output in found or not one):
                    takes[added].add(one)
            elif is_region(node, *_MOVES):
                codes = codes and self._one_scale(node.input[0])
                takes[node.input[0]].add(codes)
                found |= {output} if codes else set()
            elif is_region(node, "RegionGather"):
                found |= {output} if codes and self.decoder(node) is not None else set()
            else:
                for name in rows.intersection(node.input):
                    takes[name].add(False)
        return frozenset(found)

    def known(self, name: str) -> bool:
        """Whether all channels of a tensor have a scale."""
        return name in self.scales and not np.isnan(self.scales[name]).any()

    def _one_scale(self, name: str) -> bool:
        """Whether the channels share one, as what adds or moves them needs it."""
        return self.known(name) and bool((self.scales[name] == self.scales[name][0]).all())


def marked(conv: onnx.NodeProto) -> bool:
    """Whether a RegionConv is to become INT8."""
    return any(a.name == INTEGER for a in conv.attribute)
