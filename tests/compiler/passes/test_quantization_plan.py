"""Which convolutions run in INT8, and why the others do not."""

from __future__ import annotations

import pytest
from tiny_networks import tiny_encoder_model, tiny_model

from lc_trt.compiler.options import Quantization
from lc_trt.compiler.passes.convolution import convolution
from lc_trt.compiler.passes.insert_qdq import InsertQdq
from lc_trt.compiler.passes.quantization_plan import make_plan
from lc_trt.compiler.pipeline import prepare

SIZE = (52, 75)


@pytest.fixture
def graph():
    return prepare(tiny_model(), SIZE, 1)


def test_every_convolution_is_quantised_or_excluded_with_a_reason(graph):
    first = next(node for node in graph.nodes if convolution(node) is not None)
    computed = [node for node in graph.nodes if convolution(node) is not None][5]
    convolution(computed).weight = "computed"
    plan = make_plan(graph)
    convolutions = {n.output[0] for n in graph.nodes if convolution(n) is not None}
    assert {*plan.convolutions, *plan.excluded} == convolutions
    assert not plan.excluded.keys() & {*plan.convolutions}
    assert plan.excluded[first.output[0]] == "it reads the image"
    assert plan.excluded[computed.output[0]] == "its weight is not a constant"
    heads = {n: why for n, why in plan.excluded.items() if n.startswith("head")}
    assert {n.split("/")[0] for n in heads} == {"head1", "head2", "head3"}
    assert set(heads.values()) == {"it is a classifier, whose scores reach a Softmax"}


def test_the_pass_says_why_a_convolution_stays_in_floating_point(graph):
    plan = make_plan(graph)
    keep = plan.convolutions[2]
    ranges = dict.fromkeys(plan.tensors, (0.0, 6.0))
    report = InsertQdq(Quantization(ranges, [keep])).apply(graph)
    assert report.rewrites == len(plan.convolutions) - 1
    producers = graph.edges().producers
    expected = plan.excluded | {keep: "it is excluded from INT8"}
    named = {producers[output].name: why for output, why in expected.items()}
    assert {skipped.node: skipped.reason for skipped in report.skipped} == named


def test_rows_of_a_map_share_its_range_and_scores_may_be_moved_and_scaled():
    """In a cascade with exact regions: transposed maps, and classifiers behind two operators."""
    graph = prepare(tiny_encoder_model(), SIZE, 1)
    plan = make_plan(graph)
    heads = {n for n, why in plan.excluded.items() if "classifier" in why}
    assert {n.split("/")[0] for n in heads} == {"head1", "head2", "head3"}
    moved = {n.output[0] for n in graph.nodes if n.op_type in ("Transpose", "Reshape")}
    assert moved and not moved & {*plan.tensors}
    assert {"stage2/spatial0/conv", "stage3/spatial1/conv"} <= {*plan.convolutions}
