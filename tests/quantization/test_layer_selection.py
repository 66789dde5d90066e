"""Layer selection: groups, bisection, and mIoU against hand-computed values."""

from __future__ import annotations

import math

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from tiny_networks import INFO, tiny_model
from toy_models import bgr, toy_model

from lc_trt.backends.load import open_onnx
from lc_trt.compiler.passes.quantization_plan import QuantizationPlan, make_plan
from lc_trt.compiler.pipeline import prepare
from lc_trt.data.datasets import Sample
from lc_trt.quantization.layer_selection import GROUPS, find_sensitive, layer_groups, mean_iou


@given(st.integers(1, 40), st.data())
def test_bisection_finds_exactly_the_sensitive_groups(count, data):
    groups = [f"g{i}" for i in range(count)]
    sensitive = data.draw(st.sets(st.sampled_from(groups)))
    evaluations = []

    def accurate(excluded):
        evaluations.append(excluded)
        return sensitive <= excluded

    assert find_sensitive(groups, accurate) == sorted(sensitive, key=groups.index)
    assert len(evaluations) <= (len(sensitive) + 1) * (2 + math.log2(count))


def test_groups_are_blocks_and_cover_every_convolution():
    plan = make_plan(prepare(tiny_model(), INFO.size, 1))
    groups = layer_groups(plan)
    assert "head1/0" in groups and any(name.startswith("stage2/") for name in groups)
    members = [n for group in groups.values() for n in group]
    assert sorted(members) == sorted(plan.convolutions)
    assert len(groups) <= GROUPS


@pytest.mark.parametrize("count", [1, GROUPS, GROUPS + 1, 5 * GROUPS])
def test_many_blocks_are_merged(count):
    names = tuple(f"block{i}/conv" for i in range(count))
    groups = layer_groups(QuantizationPlan((), {}, names, frozenset()))
    assert len(groups) <= GROUPS and sum(map(len, groups.values())) == count


def test_mean_iou_is_measured_at_the_size_of_the_labels():
    engine = open_onnx("onnxruntime", toy_model(), threads=1)
    height, width = engine.size
    image = np.concatenate(
        [bgr(0, 0, 10, (height, width // 2)), bgr(0, 0, 200, (height, width // 2))], axis=1
    )
    label = np.repeat(np.array([[0, 3]], np.uint8), 2 * height, 0).repeat(width, 1)
    samples = [Sample("a", image, label)]
    assert mean_iou(engine, samples, 4, (0.5, 0.5)) == 1.0
    wrong = label.copy()
    wrong[:, :width] = 1
    assert mean_iou(engine, [Sample("b", image, wrong)], 4, (0.5, 0.5)) == pytest.approx(1 / 3)
