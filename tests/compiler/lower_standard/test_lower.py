"""Region operators become equivalent standard ones."""

from __future__ import annotations

import numpy as np
import pytest
from onnx import TensorProto, helper
from pass_cases import FORMS, SIZE, assert_same, frozen
from tiny_encoder import tiny_encoder_cascade
from tiny_networks import CLASSES, INFO, MEAN, STD, frames, run, session, tiny_model

from lc_trt.compiler.lower_standard import Lowering, LowerStandard
from lc_trt.compiler.pass_manager import run_passes
from lc_trt.compiler.passes.fold_batch_norm import FoldBatchNorm
from lc_trt.errors import LcTrtError
from lc_trt.ir.export import export_cascade
from lc_trt.ir.interface import DOMAIN
from lc_trt.model.neighbours import Neighbours


@pytest.fixture(scope="module", params=FORMS, ids="-".join)
def source(request):
    return tiny_model(*request.param)


@pytest.mark.parametrize("multiple", [1, 16, 64])
@pytest.mark.parametrize("fold", [False, True])
def test_lowering_leaves_standard_operators_and_the_same_results(source, multiple, fold):
    before = frozen(source)
    before = run_passes(before, [FoldBatchNorm()]) if fold else before
    model = run_passes(before, [LowerStandard(Lowering(row_multiple=multiple))])
    assert all(n.domain == "" for n in model.graph.node) and not model.functions
    assert_same(source, model)


@pytest.mark.parametrize("multiple", [1, 64])
@pytest.mark.parametrize("neighbours", Neighbours)
def test_exact_regions_at_two_strides(multiple, neighbours):
    network = tiny_encoder_cascade(CLASSES, neighbours=neighbours)
    source = export_cascade(network, INFO, MEAN, STD)
    before = run_passes(frozen(source), [FoldBatchNorm()])
    model = run_passes(before, [LowerStandard(Lowering(row_multiple=multiple))])
    assert all(n.domain == "" for n in model.graph.node) and not model.functions
    assert_same(source, model)


def test_the_number_of_rows_is_rounded_up():
    model = run_passes(frozen(tiny_model(), 1), [LowerStandard(Lowering(row_multiple=16))])
    rows = next(n for n in model.graph.node if n.name == "stage2/select/rows")
    model.graph.output.append(
        helper.make_tensor_value_info(rows.output[0], TensorProto.INT64, None)
    )
    del model.graph.output[-1].type.tensor_type.shape.dim[:]
    model.graph.output[-1].type.tensor_type.shape.dim.add().dim_param = "R"
    runs = session(model)
    images = frames(1, SIZE)
    confidence = np.sort(run(runs, images, (-1, -1))["confidence"].ravel())
    for count in (0, 1, 15, 16, 17, len(confidence)):
        first = -1.0 if count == 0 else float(confidence[count - 1])
        found = run(runs, images, (first, -1))[rows.output[0]]
        assert len(found) == -(-count // 16) * 16
        assert len(np.unique(found)) == count
        assert not count or (found[count:] == found[count - 1]).all()


def test_lowering_needs_a_fixed_size():
    with pytest.raises(LcTrtError, match="its shape is not fixed; freeze the model first"):
        run_passes(tiny_model(), [LowerStandard()])


def test_lowering_names_an_operator_it_does_not_know():
    model = frozen(tiny_model())
    next(n for n in model.graph.node if n.domain == DOMAIN).op_type = "RegionDance"
    with pytest.raises(LcTrtError, match=r"unknown operator lc_trt.RegionDance"):
        run_passes(model, [LowerStandard()])
