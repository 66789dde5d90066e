"""The dense network of a cascade."""

from __future__ import annotations

from dataclasses import replace

import numpy as np
import onnx
import pytest
import torch
from onnx import helper
from pass_cases import FORMS, SIZE, assert_same, frozen, report_of
from tiny_encoder import tiny_encoder_cascade
from tiny_networks import (
    CLASSES,
    INFO,
    MEAN,
    STD,
    frames,
    run,
    session,
    tiny_cascade,
    tiny_encoder_model,
    tiny_model,
    to_input,
)

from lc_trt.compiler.lower_standard import LowerStandard
from lc_trt.compiler.pass_manager import run_passes
from lc_trt.compiler.passes.fold_batch_norm import FoldBatchNorm
from lc_trt.compiler.passes.to_dense import ToDense
from lc_trt.errors import LcTrtError
from lc_trt.ir.export import export_cascade, export_dense
from lc_trt.ir.interface import DOMAIN
from lc_trt.ir.metadata import read_info
from lc_trt.model.cascade import Dense
from lc_trt.model.neighbours import Neighbours


@pytest.mark.parametrize("form", FORMS, ids="-".join)
def test_the_dense_network_is_the_cascade_without_exits(form):
    cascade = tiny_cascade(*form)
    source = tiny_model(*form)
    dense = run_passes(source, [ToDense()])
    images = frames(2, SIZE)
    found = run(session(dense), images, None)
    last = Dense(cascade.stages, cascade.heads[2], cascade.classes)
    for expected in (
        run(session(source), images, (1, 1)),
        run(session(export_dense(last, INFO, MEAN, STD)), images, None),
    ):
        assert (found["labels"] == expected["labels"]).mean() >= 0.999
        np.testing.assert_allclose(found["confidence"], expected["confidence"], atol=1e-5)
    assert all(n.domain == "" for n in dense.graph.node)
    assert not any(n.name.startswith(("head1", "head2")) for n in dense.graph.node)
    assert read_info(dense) == replace(INFO, kind="dense")


@pytest.mark.parametrize("neighbours", Neighbours)
@pytest.mark.parametrize("size", [(64, 96), (61, 93), (45, 37)])
def test_the_dense_network_of_exact_regions_equals_pytorch(neighbours, size):
    network = tiny_encoder_cascade(CLASSES, neighbours=neighbours)
    source = export_cascade(network, INFO, MEAN, STD)
    dense = run_passes(source, [ToDense()])
    images = frames(2, size)
    found = run(session(dense), images, None)
    with torch.no_grad():
        last = network.probabilities(network.deep(to_input(images))[2], 3)
        labels = network.upsample(last, size).argmax(1).numpy()
    np.testing.assert_allclose(found["confidence"], last.amax(1).numpy(), atol=1e-4)
    assert (found["labels"] == labels).mean() >= 0.999
    assert all(n.domain == "" for n in dense.graph.node)
    unneeded = ("head1", "stages", "stage2/exit", "stage3/exit", "stage2/stand_in")
    assert not any(n.name.startswith(unneeded) for n in dense.graph.node)
    assert not any(n.op_type == "Transpose" and "all_rows" in n.name for n in dense.graph.node)


def test_an_index_without_a_dense_form_is_named():
    model = tiny_encoder_model()
    restrict = next(n for n in model.graph.node if n.op_type == "RegionRestrict")
    gather = next(n for n in model.graph.node if restrict.input[1] in n.output)
    gather.op_type = "GatherElements"
    with pytest.raises(LcTrtError, match="no dense form for its index 'stage3/children/index_2'"):
        run_passes(model, [ToDense()])


def test_it_unfolds_a_fused_residual_and_activation():
    """An epilogue of RegionConv becomes standard operators."""
    source = run_passes(tiny_model(), [FoldBatchNorm()])
    fused = onnx.ModelProto()
    fused.CopyFrom(source)
    readers = {i: n for n in fused.graph.node for i in n.input}
    conv = next(n for n in fused.graph.node if n.op_type == "RegionConv" and "project" in n.name)
    add = readers[conv.output[0]]
    relu = readers[add.output[0]]
    conv.input[6] = add.input[0]
    conv.attribute.extend(
        [helper.make_attribute("activation", 1), helper.make_attribute("residual_scale", 1.0)]
    )
    conv.output[0] = relu.output[0]
    fused.graph.node.remove(add)
    fused.graph.node.remove(relu)
    assert_same(source, fused)
    assert_same(source, run_passes(frozen(fused), [LowerStandard()]))
    images = frames(1)
    a, b = (run(session(run_passes(m, [ToDense()])), images, None) for m in (source, fused))
    np.testing.assert_allclose(a["confidence"], b["confidence"], atol=1e-6)


def test_every_region_operator_is_replaced():
    report = report_of(tiny_model(), ToDense())
    assert report.rewrites == sum(n.domain == DOMAIN for n in tiny_model().graph.node)


def test_an_operator_without_a_dense_form_is_named():
    model = tiny_model()
    next(n for n in model.graph.node if n.domain == DOMAIN).op_type = "RegionDance"
    with pytest.raises(LcTrtError, match=r"no dense form for lc_trt.RegionDance"):
        run_passes(model, [ToDense()])
