"""Emitters of exit rules (`lc_trt.model.exits`)."""

from __future__ import annotations

import functools

import numpy as np
import numpy.typing as npt
from onnx import TensorProto, helper
from torch import Tensor

from lc_trt.ir.builder import GraphBuilder
from lc_trt.ir.export.layers import array, emit
from lc_trt.ir.export.parts import emit_confidence
from lc_trt.model.exits import (
    LOG_SCALE,
    SMALLEST_PROBABILITY,
    Entropy,
    ExitRule,
    Largest,
    Learned,
    Margin,
    Neighbourhood,
    PerClass,
)


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


@emit_score.register
def _(rule: Margin, b: GraphBuilder, boundary: int, probabilities: str, features: str) -> str:
    first, second = _two_largest(b, probabilities)
    return b.op("Sub", first, second, name="margin")


@emit_score.register
def _(rule: Entropy, b: GraphBuilder, boundary: int, probabilities: str, features: str) -> str:
    count = b.op("Cast", b.op("Shape", probabilities, start=1, end=2), to=TensorProto.FLOAT)
    terms = b.op("Mul", probabilities, _log(b, probabilities), name="terms")
    negative = b.op("ReduceSum", terms, b.constant([1], np.int64), name="entropy", keepdims=1)
    relative = b.op("Div", negative, b.op("Log", count), name="relative")
    score = b.op("Add", _constant(b, 1), relative, name="score")
    return b.op("Clip", score, _constant(b, 0), _constant(b, 1), name="clip")


@emit_score.register
def _(
    rule: Neighbourhood, b: GraphBuilder, boundary: int, probabilities: str, features: str
) -> str:
    largest = emit_confidence(b, probabilities)
    negative = b.op("Neg", largest)
    pooled = b.op("MaxPool", negative, name="pool", kernel_shape=[3, 3], pads=[1] * 4)
    # MaxPool may pass over a NaN, Min does not.
    return b.op("Min", largest, b.op("Neg", pooled), name="smallest")


@emit_score.register
def _(rule: PerClass, b: GraphBuilder, boundary: int, probabilities: str, features: str) -> str:
    # Element by element, not a product: products compute in half precision in some engines.
    threshold = b.weight("threshold", _per_channel(rule.thresholds[boundary - 1]))
    below, above = (
        b.weight(name, _per_channel(slope))
        for name, slope in zip(("below", "above"), rule.slopes(boundary), strict=True)
    )
    doubt = b.op("Mul", b.op("Sub", _constant(b, 1), probabilities, name="doubt"), above)
    scores = b.op(
        "Where",
        b.op("Greater", probabilities, threshold),
        b.op("Sub", _constant(b, 1), doubt),
        b.op("Mul", probabilities, below),
        name="scores",
    )
    smaller = b.op("Less", probabilities, emit_confidence(b, probabilities))
    of_largest = b.op("Where", smaller, _constant(b, 1), scores, name="of_largest")
    return b.op("ReduceMin", of_largest, b.constant([1], np.int64), name="score", keepdims=1)


@emit_score.register
def _(rule: Learned, b: GraphBuilder, boundary: int, probabilities: str, features: str) -> str:
    i = boundary - 1
    with b.path("project"):
        projected = emit(rule.project[i], b, features, None)
    first, second = _two_largest(b, probabilities)
    statistics = (
        _scaled_log(b, probabilities),
        _scaled_log(b, b.op("Sub", _constant(b, 1), first)),
        b.op("Sub", first, second, name="margin"),
        emit_score(Entropy(), b, boundary, probabilities, features),
    )
    joined = b.op("Concat", projected, *statistics, name="joined", axis=1)
    with b.path("mix"):
        mixed = emit(rule.mix[i], b, joined, None)
    with b.path("head"):
        p = b.op("Softmax", emit(rule.head[i], b, mixed, None), axis=1)
    ends = (b.constant([end], np.int64) for end in (1, 2, 1))
    return b.op("Slice", p, *ends, name="score")


def _constant(b: GraphBuilder, value: float) -> str:
    return b.constant(value, np.float32)


def _per_channel(values: Tensor) -> npt.NDArray[np.float32]:
    return array(values).reshape(1, -1, 1, 1)


def _two_largest(b: GraphBuilder, probabilities: str) -> tuple[str, str]:
    """Maps of one channel each."""
    values = b.unique("two_largest")
    inputs = [probabilities, b.constant([2], np.int64)]
    outputs = [values, f"{values}:indices"]
    b.nodes.append(helper.make_node("TopK", inputs, outputs, name=values, axis=1))
    ends = ((b.constant([i], np.int64) for i in (start, start + 1, 1)) for start in (0, 1))
    first, second = (b.op("Slice", values, *each) for each in ends)
    return first, second


def _log(b: GraphBuilder, x: str) -> str:
    return b.op("Log", b.op("Max", x, _constant(b, SMALLEST_PROBABILITY)))


def _scaled_log(b: GraphBuilder, x: str) -> str:
    return b.op("Mul", _log(b, x), _constant(b, LOG_SCALE))
