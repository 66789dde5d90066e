"""Exported files as a whole."""

from __future__ import annotations

import onnx
import pytest
import torch
from tiny_encoder import tiny_encoder_cascade
from tiny_networks import CLASSES, INFO, MEAN, STD, tiny_cascade

from lc_trt.ir.export import export_cascade
from lc_trt.ir.metadata import read_info
from lc_trt.model.cascade import StagedNetwork


@pytest.mark.parametrize("network", [tiny_cascade, lambda: tiny_encoder_cascade(CLASSES)])
def test_the_file_is_valid_and_has_metadata(tmp_path, network):
    model = export_cascade(network(), INFO, MEAN, STD)
    onnx.save(model, tmp_path / "model.onnx")
    onnx.checker.check_model(str(tmp_path / "model.onnx"), full_check=True)
    loaded = onnx.load(tmp_path / "model.onnx")
    assert read_info(loaded) == INFO
    assert {f.name for f in loaded.functions} == {
        "RegionSelect", "RegionGather", "RegionRestrict", "RegionConv", "RegionScatter",
    }  # fmt: skip
    names = [n.name for n in loaded.graph.node]
    assert len(set(names)) == len(names) and all(names)


def test_a_network_without_onnx_form_is_named():
    class Other(StagedNetwork):
        deep = exits = new_parameters = first_stage = trunk = later = after_trunk = lambda *_: None

    with pytest.raises(TypeError, match="no ONNX form for Other"):
        export_cascade(Other(), INFO, MEAN, STD)


def test_exporting_does_not_change_the_network():
    model = tiny_encoder_cascade(CLASSES)
    before = {name: value.clone() for name, value in model.state_dict().items()}
    export_cascade(model, INFO, MEAN, STD)
    assert all(torch.equal(value, before[name]) for name, value in model.state_dict().items())
