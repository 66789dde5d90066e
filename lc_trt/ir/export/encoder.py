"""Emitters of encoders and of the pyramid on their features."""

from __future__ import annotations

import functools
from collections.abc import Sequence

import numpy as np

from lc_trt.ir.builder import GraphBuilder
from lc_trt.ir.export.foreign import emit_foreign
from lc_trt.ir.export.layers import emit
from lc_trt.ir.operator_schema import Region
from lc_trt.model.encoders.base import STRIDES, Encoder, SequentialEncoder
from lc_trt.model.encoders.efficientnet_lite import InvertedResidual
from lc_trt.model.encoders.timm_encoder import TimmEncoder
from lc_trt.model.pyramid import Pyramid


@emit.register
def _(module: InvertedResidual, b: GraphBuilder, x: str, region: Region | None) -> str:
    y = emit(module.branch, b, x, region)
    return b.op("Add", x, y, name="add") if module.identity else y


@functools.singledispatch
def emit_encoder(encoder: Encoder, b: GraphBuilder, x: str) -> list[str]:
    """Add an encoder.

    Args:
        encoder: of modules that have an emitter, or a network of timm's.
        b: builder for the nodes.
        x: normalised images, float [N, 3, H, W].

    Returns:
        Features, one map per stride of `lc_trt.model.encoders.base.STRIDES`.
    """
    raise TypeError(f"no ONNX form for {type(encoder).__name__}; add one in ir/export/encoder.py")


@emit_encoder.register
def _(encoder: SequentialEncoder, b: GraphBuilder, x: str) -> list[str]:
    features = []
    for number, stage in enumerate(encoder.stages):
        with b.path(f"encoder{number}"):
            x = emit(stage, b, x, None)
        features.append(x)
    return features[1:]


@emit_encoder.register
def _(encoder: TimmEncoder, b: GraphBuilder, x: str) -> list[str]:
    with b.path("encoder"):
        size = b.op("Shape", x, name="size", start=2, end=4)
        coarsest = b.constant(STRIDES[-1], np.int64)
        rest = b.op("Mod", b.op("Neg", size), coarsest, name="rest")
        rgb = b.op("Gather", x, b.constant([2, 1, 0], np.int64), name="rgb", axis=1)
        pads = b.op("Concat", b.constant([0] * 6, np.int64), rest, name="pads", axis=0)
        features = emit_foreign(encoder.network, b, b.op("Pad", rgb, pads), len(STRIDES))
        cropped = []
        for feature, stride in zip(features, STRIDES, strict=True):
            raised = b.op("Add", size, b.constant(stride - 1, np.int64))
            end = b.op("Div", raised, b.constant(stride, np.int64), name=f"size{stride}")
            starts, axes = b.constant([0, 0], np.int64), b.constant([2, 3], np.int64)
            cropped.append(b.op("Slice", feature, starts, end, axes, name=f"feature{stride}"))
        return cropped


def emit_pyramid(pyramid: Pyramid, b: GraphBuilder, features: Sequence[str]) -> str:
    """Add a feature pyramid.

    Args:
        pyramid: with one lateral convolution per map.
        b: builder for the nodes.
        features: maps, finest first.

    Returns:
        Map at the finest stride, float [N, width, h, w].
    """
    with b.path("pyramid"):
        laterals = []
        for number, (lateral, x) in enumerate(zip(pyramid.laterals, features, strict=True)):
            with b.path(f"lateral{number}"):
                laterals.append(emit(lateral, b, x, None))
        with b.path("average"):
            average = emit(pyramid.average, b, b.op("GlobalAveragePool", features[-1]), None)
            y = b.op("Relu", b.op("Add", laterals[-1], average))
        for number in reversed(range(len(laterals) - 1)):
            with b.path(f"level{number}"):
                finer = b.op("Add", laterals[number], _resize_to(b, y, laterals[number]))
                y = emit(pyramid.smooth[number], b, b.op("Relu", finer), None)
    return y


def _resize_to(b: GraphBuilder, x: str, like: str) -> str:
    """Bilinear resize (half-pixel) to the size of another map."""
    channels = b.op("Shape", x, name="channels", start=0, end=2)
    size = b.op("Shape", like, name="size", start=2, end=4)
    sizes = b.op("Concat", channels, size, name="sizes", axis=0)
    return b.op(
        "Resize", x, "", "", sizes,
        mode="linear", coordinate_transformation_mode="half_pixel",
    )  # fmt: skip
