"""Graphs that are wrong for TensorRT are refused by node name."""

from __future__ import annotations

import pytest
from onnx import TensorProto, helper
from region_graphs import CHANNELS, region_graph, views
from tiny_networks import tiny_model

from lc_trt.compiler.lower_tensorrt import lower_tensorrt
from lc_trt.compiler.lower_tensorrt.verify import Verify
from lc_trt.compiler.pass_manager import run_passes
from lc_trt.compiler.passes.fold_batch_norm import FoldBatchNorm
from lc_trt.errors import LcTrtError


@pytest.mark.parametrize(
    ("op_type", "output"),
    [("RegionGather", "y"), ("RegionSelect", "rows")],
    ids=["features", "positions"],
)
def test_a_standard_operator_on_rows_is_named(op_type, output):
    source = region_graph(lambda b: (b.conv(b.entered, CHANNELS, 2), 2))
    model = run_passes(source, lower_tensorrt())
    rows = views(model, op_type)[0].output(output)
    model.graph.node.append(helper.make_node("Abs", [rows], ["abs"], "abs"))
    with pytest.raises(LcTrtError, match=r"node 'abs' \(Abs\) reads"):
        run_passes(model, [Verify()])


def test_uint8_inside_the_network_is_refused():
    model = tiny_model()
    nodes = list(model.graph.node)
    (sub,) = views(model, "Sub")
    at = nodes.index(sub.node)
    rounded = helper.make_node(
        "Cast", [sub.input("A")], ["inside"], "rounded", to=TensorProto.UINT8
    )
    back = helper.make_node("Cast", ["inside"], ["back"], to=TensorProto.FLOAT)
    sub.set_input("A", "back")
    nodes[at:at] = [rounded, back]
    del model.graph.node[:]
    model.graph.node.extend(nodes)
    passes = [FoldBatchNorm(region_factors=False), *lower_tensorrt()]
    with pytest.raises(LcTrtError, match="node 'rounded' casts to UINT8 inside the network"):
        run_passes(model, passes)
