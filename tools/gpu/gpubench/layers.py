"""The region convolutions of a network, from its lowered ONNX."""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterator
from dataclasses import dataclass

import numpy as np
import onnx

from gpubench.kernels import NUMPY
from gpubench.networks import lower, random_cascade
from gpubench.nodes import TORCH_TYPES, OperatorNode
from gpubench.region_operators import OUTPUT_TYPES, no_residual
from lc_trt.compiler.graph import Graph
from lc_trt.ir.interface import DOMAIN
from lc_trt.ir.operator_schema import Form
from lc_trt.model.cascade import OUTPUT_STRIDE


@dataclass(frozen=True)
class Layer:
    """Shape of a region convolution.

    Attributes:
        segments: (channels of the buffer, first channel, end channel) of each segment.
        out_channels: channels of the result.
        window: kernel height and width, dilation height and width.
        relu: whether ReLU is applied.
        residual: type of the residual; None for none.
        type: type of the input and the weights, such as ``float16``.
        output: type of the result.
    """

    segments: tuple[tuple[int, int, int], ...]
    out_channels: int
    window: tuple[int, int, int, int]
    relu: bool
    residual: str | None
    type: str
    output: str

    @property
    def channels(self) -> int:
        """Input channels."""
        return sum(end - begin for _, begin, end in self.segments)

    @property
    def taps(self) -> int:
        """Positions of the window."""
        return self.window[0] * self.window[1]

    @property
    def macs(self) -> int:
        """Multiply-accumulates per row."""
        return self.taps * self.channels * self.out_channels

    @property
    def name(self) -> str:
        """Such as ``1x7/1,2 192>256 +r``: window, dilation, channels, residual.

        An output type other than the INT8 of the input is appended.
        """
        kh, kw, dh, dw = self.window
        dilation = "" if (dh, dw) == (1, 1) else f"/{dh},{dw}"
        cin = "+".join(str(end - begin) for _, begin, end in self.segments)
        residual = "" if self.residual is None else " +r"
        output = "" if self.output == self.type else f" {self.output}"
        return f"{kh}x{kw}{dilation} {cin}>{self.out_channels}{residual}{output}"


def feature_map(batch: int, size: tuple[int, int]) -> tuple[int, int, int]:
    """(N, h, w) of the map of stages 2 and 3.

    Args:
        batch: images per pass.
        size: (height, width) in pixels.
    """
    height, width = (-(-side // OUTPUT_STRIDE) for side in size)
    return batch, height, width


def layers_of(model: onnx.ModelProto) -> dict[Layer, int]:
    """Shapes of region convolutions, with their numbers of occurrences.

    Args:
        model: model lowered for TensorRT; sizes may be symbolic.

    Raises:
        LcTrtError: an unknown region operator; names it.
    """
    return dict(Counter(layer for _, layer in region_convolutions(model)))


def region_convolutions(model: onnx.ModelProto) -> Iterator[tuple[str, Layer]]:
    """The region convolutions of a lowered model in order, with node names.

    Args:
        model: as for `layers_of`.
    """
    graph = Graph(model)
    rows: dict[str, tuple[int, str]] = {}  # channels and type, by tensor
    for proto in graph.nodes:
        if proto.domain != DOMAIN or proto.op_type in ("RegionSelect", "RegionScatter"):
            continue
        node, y = OperatorNode(proto, graph), proto.output[0]
        if proto.op_type == "RegionGather":
            (_, channels, *_), dtype = node.map_type("x")
            if channels is None:
                raise node.refusal("the channels of its 'x' are not known")
            rows[y] = channels, NUMPY[dtype].name
        elif proto.op_type == "RegionQuantize":
            rows[y] = rows[node.tensor("x")][0], np.dtype(np.int8).name
        elif proto.op_type in ("RegionRestrict", "RegionMaxPool"):
            _add_dense_rows(node, graph, rows)
            rows[y] = rows[node.tensor("x")]
        elif proto.op_type == "RegionConv":
            _add_dense_rows(node, graph, rows)
            layer = _layer(node, rows, no_residual(node, graph))
            rows[y] = layer.out_channels, layer.output
            yield node.name, layer
        else:
            raise node.refusal("no such operator")


def _add_dense_rows(node: OperatorNode, graph: Graph, rows: dict[str, tuple[int, str]]) -> None:
    """Add the rows that standard operators make of a map."""
    for name in node.tensors("x"):
        if name in rows:
            continue
        kind = graph.type_of(name)
        _, channels = kind.dims or (None, None)
        if channels is None:
            raise node.refusal(f"the channels of {name!r} are not known")
        rows[name] = channels, NUMPY[TORCH_TYPES[kind.element]].name


def _layer(node: OperatorNode, rows: dict[str, tuple[int, str]], alone: bool) -> Layer:
    x = [rows[name] for name in node.tensors("x")]
    begins, ends = node.attribute("channel_begin"), node.attribute("channel_end")
    (kh, kw), (dh, dw) = node.attribute("kernel_shape"), node.attribute("dilations")
    output = Form.parse(node.proto.overload).output
    return Layer(
        tuple((width, b, e) for (width, _), b, e in zip(x, begins, ends, strict=True)),
        len(node.constant("bias")),
        (kh, kw, dh, dw),
        bool(node.attribute("activation")),
        None if alone else rows[node.tensor("residual")][1],
        x[0][1],
        x[0][1] if output is None else NUMPY[OUTPUT_TYPES[output]].name,
    )


def preset_layers(preset: str, kind: str) -> dict[Layer, int]:
    """`layers_of` a preset's cascade.

    Args:
        preset: name of the preset.
        kind: ``float16``, ``bfloat16``, ``float32`` or ``int8`` (with FP16 as the fallback).
    """
    return layers_of(lower(random_cascade(preset), None, None, kind))
