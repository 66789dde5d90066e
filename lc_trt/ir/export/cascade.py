"""Cascades with zeros outside the region (`lc_trt.model.cascade`), and dense networks."""

from __future__ import annotations

import onnx
from onnx import TensorProto

from lc_trt.ir.builder import GraphBuilder, image_input, labels_output, map_output
from lc_trt.ir.export.layers import emit
from lc_trt.ir.export.parts import (
    CascadeMaps,
    Normalisation,
    emit_first_active,
    emit_input,
    emit_labels,
    emit_map,
    emit_probabilities,
    emit_rho,
    finish,
)
from lc_trt.ir.interface import CONFIDENCE, STAGES
from lc_trt.ir.metadata import ModelInfo
from lc_trt.ir.operator_schema import Region
from lc_trt.ir.region_ops import REGION_GATHER, REGION_RESTRICT, REGION_SCATTER
from lc_trt.model.cascade import OUTPUT_STRIDE, Cascade, Dense

NUMBER_OF_STAGES = 3


def emit_cascade(model: Cascade, b: GraphBuilder, x: str) -> CascadeMaps:
    """Add a cascade whose regions read zeros outside.

    Args:
        model: with three stages.
        b: builder for the nodes.
        x: normalised images, float [N, 3, H, W].
    """
    with b.path("stage1"):
        x = emit(model.stages[0], b, x, None)
    with b.path("head1"):
        merged, confidence = emit_probabilities(b, emit(model.heads[0], b, x, None))
    with b.path(STAGES):
        active = emit_first_active(b, confidence)
        numbers = b.op("Cast", active, name="one", to=TensorProto.INT32)
    previous: Region | None = None
    for stage in range(2, NUMBER_OF_STAGES + 1):
        with b.path(f"stage{stage}"):
            region = b.select(confidence, active, emit_rho(b, stage))
            if previous is None:
                x = b.region(REGION_GATHER, name="enter", region=region, x=x)
            else:
                x = b.region(
                    REGION_RESTRICT, name="enter", region=region, x=x, index=previous.index
                )
            x = emit(model.stages[stage - 1], b, x, region)
        with b.path(f"head{stage}"):
            p, c = emit_probabilities(b, emit(model.heads[stage - 1], b, x, region))
            merged = b.region(REGION_SCATTER, name="merge", region=region, x=p, base=merged)
            confidence = b.region(
                REGION_SCATTER, name="merge_confidence", region=region, x=c, base=confidence
            )
        with b.path(STAGES):
            numbers = b.op(
                "Add", numbers, b.op("Cast", region.hard, name="reached", to=TensorProto.INT32)
            )
        active, previous = region.hard, region
    return CascadeMaps(merged, numbers, confidence, OUTPUT_STRIDE)


def export_dense(
    model: Dense, info: ModelInfo, mean: Normalisation, std: Normalisation
) -> onnx.ModelProto:
    """Export a dense network as exchange ONNX: ``image`` in, ``labels`` and ``confidence`` out.

    Args:
        model: a dense network.
        info: metadata of the file.
        mean: mean of each input channel, BGR, in units of 0..255.
        std: standard deviation of each input channel, likewise.
    """
    model = model.eval()
    b = GraphBuilder()
    x = emit_input(b, mean, std)
    for number, stage in enumerate(model.stages, start=1):
        with b.path(f"stage{number}"):
            x = emit(stage, b, x, None)
    with b.path(f"head{NUMBER_OF_STAGES}"):
        probabilities, confidence = emit_probabilities(b, emit(model.heads[0], b, x, None))
    emit_labels(b, probabilities, OUTPUT_STRIDE)
    emit_map(b, confidence, CONFIDENCE)
    outputs = [labels_output(), map_output(CONFIDENCE, TensorProto.FLOAT)]
    return finish(b, info, [image_input()], outputs)
