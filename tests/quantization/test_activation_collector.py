"""Activations against those of an independent session on the source model."""

from __future__ import annotations

import numpy as np
import pytest
from tiny_networks import INFO, frames, middle_rho, run, session, tiny_model

from lc_trt.compiler.passes.quantization_plan import make_plan
from lc_trt.compiler.pipeline import prepare
from lc_trt.quantization.activation_collector import ActivationCollector, TensorReader


@pytest.fixture(scope="module")
def model():
    return tiny_model()


def test_a_reader_replaces_the_outputs_by_the_tensors(model):
    images, rho = frames(1), (0.5, 0.5)
    expected = run(session(model), images, rho)
    reader = TensorReader(model, ["stages", "labels"], threads=1)
    assert reader.names == ["stages", "labels"]
    for name, value in reader.run(images, rho):
        assert np.array_equal(value, expected[name]), name


def test_region_activations_have_one_row_per_pixel_of_the_region(model):
    """No padding, and no zero row for missing neighbours."""
    images = frames(1)
    reference = session(model)
    rho = middle_rho(reference, images)
    stages = run(reference, images, rho)["stages"]
    graph = prepare(model, INFO.size, 1)
    plan = make_plan(graph)
    activations = dict(ActivationCollector(graph, plan, threads=1).run(images, rho))
    assert list(activations) == list(plan.tensors)
    rows = {
        "stage2": (stages >= 2).sum(),
        "head2": (stages >= 2).sum(),
        "stage3": (stages == 3).sum(),
    }
    for name, values in activations.items():
        block = name.split("/")[0]
        if block in rows:
            assert values.shape[0] == rows[block], name
        if block == "stage1":
            assert values.ndim == 4
    assert set(rows) <= {name.split("/")[0] for name in activations}


def test_the_graph_of_the_caller_stays_unchanged(model):
    graph = prepare(model, INFO.size, 1)
    before = graph.copy().encode()
    ActivationCollector(graph, make_plan(graph), threads=1)
    assert graph.encode() == before
