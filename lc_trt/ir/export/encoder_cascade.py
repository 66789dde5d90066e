"""Cascades on an encoder (`lc_trt.model.encoder_cascade`)."""

from __future__ import annotations

import copy
from collections.abc import Sequence
from dataclasses import replace

import numpy as np
from onnx import TensorProto
from torch import nn

from lc_trt.ir.builder import GraphBuilder
from lc_trt.ir.export.encoder import emit_encoder, emit_pyramid
from lc_trt.ir.export.exits import emit_score
from lc_trt.ir.export.layers import emit
from lc_trt.ir.export.parts import (
    CascadeMaps,
    emit_first_active,
    emit_probabilities,
    emit_rho,
    resize_by,
)
from lc_trt.ir.export.regions import Children, Source, all_rows
from lc_trt.ir.interface import STAGES
from lc_trt.ir.operator_schema import Region
from lc_trt.ir.region_ops import REGION_GATHER, REGION_RESTRICT, REGION_SCATTER
from lc_trt.model.encoder_cascade import STRIDES, EncoderCascade
from lc_trt.model.layers import Chain
from lc_trt.model.neighbours import Neighbours
from lc_trt.model.spatial_mix import SpatialMix


def emit_encoder_cascade(model: EncoderCascade, b: GraphBuilder, x: str) -> CascadeMaps:
    """Add a cascade on an encoder.

    Temperatures become factors of the heads. Stage 3 adds the logits of stage 2, so head 2 has
    the factor of stage 3, and its own probabilities are those of the product with their ratio.

    Args:
        model: of three stages.
        b: builder for the nodes.
        x: normalised images, float [N, 3, H, W].
    """
    t1, t2, t3 = model.temperatures.tolist()
    rule = model.exit_rules.rule
    with b.path("stage1"):
        e4, *coarser = emit_encoder(model.encoder, b, x)
        pyramid = emit_pyramid(model.pyramid, b, coarser)
        features = b.op("Concat", pyramid, coarser[0], name="features", axis=1)
        with b.path("guide"):
            guide = emit(model.guide, b, pyramid, None)
            detail = b.op("Concat", e4, _double(b, guide, e4), name="detail", axis=1)
    with b.path("head1"):
        logits1 = emit(_divided(model.head1, t1), b, pyramid, None)
        probabilities = b.op("Softmax", logits1, axis=1)

    with b.path("stage2"):
        with b.path("exit"):
            score1 = emit_score(rule, b, 1, probabilities, features)
        region2 = b.select(score1, emit_first_active(b, score1), emit_rho(b, 2))
        rows = b.region(REGION_GATHER, name="enter", region=region2, x=features)
        context = _emit_context(model, b, features, guide, rows, region2)
        with b.path("pointwise"):
            rows = emit(model.pointwise, b, rows, region2)
        rows2 = _emit_mix(model.stage2, b, context, [rows], region2)
    with b.path("head2"):
        logits2 = emit(_divided(model.head2, t3), b, rows2, region2)
        own = logits2 if t2 == t3 else b.op("Mul", logits2, b.constant(t3 / t2, np.float32))
        p = b.op("Softmax", own, axis=1)
        merged = b.region(REGION_SCATTER, name="merge", region=region2, x=p, base=probabilities)

    with b.path("stage3"):
        with b.path("exit"):
            merged = _double(b, merged, e4)
            score2 = emit_score(rule, b, 2, merged, detail)
        children = Children(b, e4)
        parents = children.region(region2)
        region3 = b.select(score2, parents.hard, emit_rho(b, 3))
        with b.path("parent"):
            rows = emit(model.parent, b, rows2, region2)
            parent = b.region(
                REGION_RESTRICT, name="enter", region=region3, x=rows, index=parents.index
            )
        rows = b.region(REGION_GATHER, name="enter", region=region3, x=detail)
        source = _emit_detail(model, b, detail, guide, rows, region3)
        rows3 = _emit_mix(model.stage3, b, source, [rows, parent], region3)
    with b.path("head3"):
        logits3 = emit(_divided(model.head3, t3), b, rows3, region3)
        parent = b.region(
            REGION_RESTRICT, name="parent", region=region3, x=logits2, index=parents.index
        )
        p, c = emit_probabilities(b, b.op("Add", logits3, parent, name="add"))
        merged = b.region(REGION_SCATTER, name="merge", region=region3, x=p, base=merged)
        score1 = children.repeat(score1, 2, "score")
        confidence = b.region(
            REGION_SCATTER, name="merge_confidence", region=region3, x=c,
            base=b.op("Where", parents.hard, score2, score1, name="scores"),
        )  # fmt: skip
    with b.path(STAGES):
        numbers = b.constant([1], np.int32)
        for hard in (parents.hard, region3.hard):
            reached = b.op("Cast", hard, name="reached", to=TensorProto.INT32)
            numbers = b.op("Add", numbers, reached)
    return CascadeMaps(merged, numbers, confidence, STRIDES[-1])


def _emit_context(
    model: EncoderCascade, b: GraphBuilder, features: str, guide: str, rows: str, region: Region
) -> Source:
    """Add what stage 2's spatial convolutions read (`EncoderCascade._context`)."""
    with b.path("context"):
        if model.neighbours is Neighbours.EXACT:
            return all_rows(b, emit(model.context, b, features, None))
        rows = emit(model.context, b, rows, region)
    if model.neighbours is Neighbours.ZEROS:
        return Source(rows, region.index)
    with b.path("stand_in"):
        outside = emit(model.stand_in2, b, guide, None)
        return all_rows(b, b.region(REGION_SCATTER, region=region, x=rows, base=outside))


def _emit_detail(
    model: EncoderCascade, b: GraphBuilder, detail: str, guide: str, rows: str, region: Region
) -> Source:
    """Add what stage 3's spatial convolutions read (`EncoderCascade._detail`)."""
    if model.neighbours is Neighbours.EXACT:
        return all_rows(b, detail)
    if model.neighbours is Neighbours.ZEROS:
        return Source(rows, region.index)
    with b.path("stand_in"):
        outside = _double(b, emit(model.stand_in3, b, guide, None), detail)
        return all_rows(b, b.region(REGION_SCATTER, region=region, x=rows, base=outside))


def _emit_mix(
    module: SpatialMix, b: GraphBuilder, source: Source, joined: Sequence[str], region: Region
) -> str:
    """Add spatial convolutions at a region's cells, and what follows them."""
    at, spatial = replace(region, index=source.index), []
    for number, conv in enumerate(module.spatial):
        with b.path(f"spatial{number}"):
            spatial.append(emit(conv, b, source.rows, at))
    with b.path("mix"):
        return emit(module.mix, b, b.op("Concat", *spatial, *joined, axis=1), region)


def _double(b: GraphBuilder, x: str, like: str) -> str:
    """Bilinear at twice the size, cropped to that of another map (`lc_trt.model.layers.double`)."""
    end = b.op("Shape", like, name="size", start=2, end=4)
    crop = (b.constant([0, 0], np.int64), end, b.constant([2, 3], np.int64))
    return b.op("Slice", resize_by(b, x, 2), *crop)


def _divided(head: Chain, temperature: float) -> nn.Module:
    """A head whose logits are divided by a temperature."""
    head = copy.deepcopy(head)
    for parameter in head.parameters():
        parameter.data /= temperature
    return head
