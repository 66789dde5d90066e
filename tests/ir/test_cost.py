"""Multiply-accumulates per stage, against the paper's operation counts."""

from __future__ import annotations

import torch
from tiny_encoder import tiny_encoder_cascade
from tiny_networks import CLASSES, tiny_encoder_model, tiny_model

from lc_trt.compiler.pass_manager import run_passes
from lc_trt.compiler.passes.to_dense import ToDense
from lc_trt.data.classes import find_classes
from lc_trt.ir.cost import dense_macs, stage_macs
from lc_trt.ir.export import export_cascade
from lc_trt.ir.metadata import ModelInfo
from lc_trt.model.presets import PRESETS, build_cascade


def exported(name, heads):
    preset, classes = PRESETS[name], find_classes("voc")
    info = ModelInfo("cascade", name, classes.names, classes.colours)
    return export_cascade(build_cascade(name, 21, heads), info, preset.mean, preset.std)


def test_the_cost_of_irnet_is_that_of_the_papers_layers():
    model = exported("irnet", "aspp")
    macs = stage_macs(model, (300, 500))
    counted = {part: round(value / 1e9, 1) for part, value in macs.parts().items()}
    assert counted == {
        "stage1": 12.7, "head1": 3.5, "stage2": 36.5, "head2": 6.0, "stage3": 24.0, "head3": 4.6,
    }  # fmt: skip
    assert round(macs.dense / 1e9, 1) == 77.8 and not macs.adds_head2
    assert round(macs.dense / macs.at(0.77, 0.48), 2) == 1.24  # published shares at rho 0.985
    assert round(macs.dense / macs.at(0.44, 0.15), 2) == 1.99  # at rho 0.8
    assert dense_macs(run_passes(model, [ToDense()]), (300, 500)) == macs.dense


def test_costs_follow_the_size():
    model = tiny_model()
    small, large = stage_macs(model, (64, 64)), stage_macs(model, (128, 128))
    assert large.dense == 4 * small.dense and large.head2 == 4 * small.head2


def test_stages_at_two_strides():
    model = tiny_encoder_model()
    macs = stage_macs(model, (64, 96))
    network, cells = tiny_encoder_cascade(CLASSES), 8 * 12
    per_cell = {
        "stage2": count(network.pointwise, network.stage2, network.parent),
        "stage3": 4 * count(network.stage3),
        "head3": 4 * count(network.head3),
        "head1": count(network.head1),
        "head2": count(network.head2),
    }
    for part, expected in per_cell.items():
        assert getattr(macs, part) == expected * cells, part
    assert macs.adds_head2
    dense = run_passes(model, [ToDense()])
    assert dense_macs(dense, (64, 96)) == macs.dense
    assert dense_macs(dense, (61, 93)) == stage_macs(model, (61, 93)).dense
    assert macs.at(1, 1) == macs.dense + macs.head1
    assert macs.at(0, 0) == macs.stage1 + macs.head1


def count(*modules: torch.nn.Module) -> int:
    """Multiply-accumulates per cell."""
    convs = (c for m in modules for c in m.modules() if isinstance(c, torch.nn.Conv2d))
    return sum(conv.weight.numel() for conv in convs)
