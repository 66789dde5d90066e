"""Reading ONNX files and recognising exchange models."""

from __future__ import annotations

import onnx
import pytest
from compilation import lowered_for_tensorrt
from onnx import TensorProto, helper
from tiny_networks import tiny_model

from lc_trt.compiler.frontend.read_onnx import (
    check_region_operators,
    exchange_kind,
    load_onnx,
)
from lc_trt.compiler.pass_manager import run_passes
from lc_trt.compiler.passes.to_dense import ToDense
from lc_trt.errors import LcTrtError
from lc_trt.ir.interface import DOMAIN
from lc_trt.ir.metadata import read_info, write_info


def test_kinds():
    model = tiny_model()
    assert exchange_kind(model) == "cascade"
    assert exchange_kind(run_passes(model, [ToDense()])) == "dense"
    x = helper.make_tensor_value_info("x", TensorProto.FLOAT, [1])
    y = helper.make_tensor_value_info("y", TensorProto.FLOAT, [1])
    graph = helper.make_graph([helper.make_node("Relu", ["x"], ["y"])], "g", [x], [y])
    assert exchange_kind(helper.make_model(graph)) is None


def test_an_unknown_region_operator_is_named():
    model = tiny_model()
    node = next(n for n in model.graph.node if n.op_type == "RegionConv")
    node.op_type = "RegionDance"
    with pytest.raises(LcTrtError, match=r"m\.onnx: node .* is lc_trt.RegionDance, expected one"):
        check_region_operators(model, "m.onnx")


def test_region_operators_of_another_version_are_refused():
    model = tiny_model()
    (ours,) = [o for o in model.opset_import if o.domain == DOMAIN]
    check_region_operators(model, "m.onnx")
    ours.version = 2
    with pytest.raises(LcTrtError, match=r"of version 2, expected version 1; .*export"):
        check_region_operators(model, "m.onnx")
    model.opset_import.remove(ours)
    with pytest.raises(LcTrtError, match="of version none, expected version 1"):
        check_region_operators(model, "m.onnx")


def test_a_lowered_cascade_is_refused():
    model = lowered_for_tensorrt(tiny_model(), (48, 72), 1, "fp32")
    with pytest.raises(LcTrtError, match=r"m\.onnx: node .* is already lowered to a"):
        check_region_operators(model, "m.onnx")


def test_a_cascade_has_three_stages():
    model = tiny_model()
    selects = [n for n in model.graph.node if n.op_type == "RegionSelect"]
    model.graph.node.remove(selects[1])
    with pytest.raises(LcTrtError, match="1 RegionSelect nodes, expected 2"):
        check_region_operators(model, "m.onnx")


@pytest.mark.parametrize(
    ("content", "message"),
    [
        (None, "no such file"),
        (b"", "not an? .*ONNX"),
        (b"<html>not found</html>", "not an? .*ONNX"),
        (tiny_model().SerializeToString()[:5000], "not an? .*ONNX"),
    ],
    ids=["missing", "empty", "html", "truncated"],
)
def test_other_files_are_a_one_line_error(tmp_path, content, message):
    path = tmp_path / "model.onnx"
    if content is not None:
        path.write_bytes(content)
    with pytest.raises(LcTrtError, match=message) as error:
        load_onnx(path)
    assert str(path) in str(error.value) and "\n" not in str(error.value)


def test_metadata_of_another_format_is_refused():
    model = tiny_model()
    info = read_info(model)
    write_info(model, info)
    assert [p.key for p in model.metadata_props] == ["lc_trt"]
    model.metadata_props[0].value = model.metadata_props[0].value.replace(
        '"format": 1', '"format": 9'
    )
    with pytest.raises(LcTrtError, match="has format 9, this lc-trt reads 1"):
        read_info(model)
    assert read_info(onnx.ModelProto()) is None
