"""A stage as kernel calls: what is fused, and that nothing is lost."""

from __future__ import annotations

import pytest
import torch
from gpubench.plan import ConvStep, PoolStep, plan_of
from gpubench.shapes import feature_map, plans, region_layers
from tiny_networks import INFO, MEAN, STD, tiny_cascade

from lc_trt.ir.cost import stage_macs
from lc_trt.ir.export import export_cascade
from lc_trt.model.layers import AveragePool, Chain, Concat, Conv, Residual

SIZE = (40, 56)


@pytest.mark.parametrize("trunk", ["irnet", "inception"])
@pytest.mark.parametrize("form", ["plain", "aspp"])
def test_plans_have_the_exported_graph_s_operations(trunk: str, form: str) -> None:
    model = tiny_cascade(trunk, form)
    macs = stage_macs(export_cascade(model, INFO, MEAN, STD), SIZE)
    _, h, w = feature_map(1, SIZE)
    expected = (macs.stage2 + macs.head2, macs.stage3 + macs.head3)
    for plan, total in zip(plans(model), expected, strict=True):
        assert h * w * sum(step.macs for step in plan.convs()) == total


def test_branches_are_merged_and_concatenations_never_stored() -> None:
    branches = Concat([Conv(16, 24), Chain([Conv(16, 8), Conv(8, 32, 3, dilation=2)])])
    plan, (x,) = plan_of(Residual(branches, Conv(56, 16, relu=False), scale=0.3), widths=[16])
    merged, conv, project = plan.convs()
    assert merged.weight.shape == (32, 1, 1, 16)
    assert merged.relu
    assert [(p.buffer, p.begin, p.end) for p in conv.x] == [(merged.out, 24, 32)]
    assert conv.window == (3, 3, 2, 2)
    assert [(p.buffer, p.begin, p.end) for p in project.x] == [
        (merged.out, 0, 24),
        (conv.out, 0, 32),
    ]
    assert project.residual == 0
    assert project.relu
    assert [p.channels for p in x] == [16]


def test_a_residual_in_parts_is_cut_by_output_channels() -> None:
    both = Concat([Conv(8, 16, 3)], identity=True)
    block = Residual(Conv(24, 8), Conv(8, 24, relu=False), scale=0.5)
    plan, (x,) = plan_of(Chain([both, block]), widths=[8])
    *_, first, second = plan.convs()
    assert [first.residual, second.residual] == [1, 0]
    assert [first.weight.shape[0], second.weight.shape[0]] == [16, 8]
    assert [p.channels for p in x] == [16, 8]


def test_what_has_no_kernel_is_refused_by_name() -> None:
    with pytest.raises(TypeError, match=r"stage/1: no kernels for AveragePool"):
        plan_of(Chain([Conv(8, 8), AveragePool()]), widths=[8])


def test_the_stages_of_irnet_have_the_blocks_of_the_paper() -> None:
    layers = region_layers("irnet")
    by_name: dict[str, int] = {}
    for layer, count in layers.items():
        by_name[layer.name] = by_name.get(layer.name, 0) + count
    assert by_name["1x7/1,2 128>160"] == by_name["7x1/2,1 160>192"] == 10
    assert by_name["1x3/1,4 192>224"] == by_name["3x1/4,1 224>256"] == 5
    assert by_name["1x1 192+192>1152 +r"] == 10


def test_a_pool_reads_a_whole_buffer() -> None:
    plan, _ = plan_of(*tiny_stage_2("inception"), widths=[tiny_channels("inception")])
    pools = [step for step in plan.steps if isinstance(step, PoolStep)]
    assert [step.window for step in pools] == [(3, 3, 2, 2)]
    written = {step.out for step in plan.steps if isinstance(step, ConvStep)}
    assert pools[0].x in written
    assert torch.isfinite(plan.convs()[0].weight).all()


def tiny_stage_2(trunk: str):
    model = tiny_cascade(trunk)
    return model.stages[1], model.heads[1]


def tiny_channels(trunk: str) -> int:
    return tiny_cascade(trunk).heads[0][0].conv.in_channels
