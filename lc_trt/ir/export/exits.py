"""Emitters of exit rules (`lc_trt.model.exits`)."""

from __future__ import annotations

import functools

from lc_trt.ir.builder import GraphBuilder
from lc_trt.ir.export.parts import emit_confidence
from lc_trt.model.exits import ExitRule, Largest


@functools.singledispatch
def emit_score(
    rule: ExitRule, b: GraphBuilder, boundary: int, probabilities: str, features: str
) -> str:
    """Add the score that is compared with rho.

    Args:
        rule: an exit rule with an emitter.
        b: builder for the nodes.
        boundary: 1 or 2.
        probabilities: of the stages so far, merged, float [N, K, h, w].
        features: dense map that the next stage reads, float [N, C, h, w].

    Returns:
        float [N, 1, h, w].

    Raises:
        TypeError: a rule without emitter.
    """
    raise TypeError(f"no ONNX form for {type(rule).__name__}; add an emitter in ir/export/exits.py")


@emit_score.register
def _(rule: Largest, b: GraphBuilder, boundary: int, probabilities: str, features: str) -> str:
    return emit_confidence(b, probabilities)
