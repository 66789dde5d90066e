"""Cascades on an encoder in INT8: a cell that goes on has the codes that it has without exits."""

from __future__ import annotations

import platform
from pathlib import Path

import numpy as np
import onnx
import pytest
from compilation import CPU_BACKENDS, lowered
from hypothesis import given, settings
from hypothesis import strategies as st
from int8_cases import image_folder, tiny_table
from tiny_networks import frames, rho_at, session, tiny_encoder_model

from lc_trt.backends.load import open_onnx
from lc_trt.compiler.options import Quantization
from lc_trt.compiler.pass_manager import run_passes
from lc_trt.compiler.passes.to_dense import ToDense
from lc_trt.ir.node_view import NodeView
from lc_trt.ir.operator_schema import is_region
from lc_trt.ir.region_ops import REGION_SELECT

CPU_INFO = Path("/proc/cpuinfo")
pytestmark = pytest.mark.skipif(
    platform.machine() == "x86_64" and CPU_INFO.exists() and "vnni" not in CPU_INFO.read_text(),
    reason="without VNNI sums of two 8-bit products saturate, in the order of each kernel",
)

LOGITS = ("head2/1/conv", "head3/add")
AT_STAGE_2 = ("stage2/", "head2/", "stage3/parent/")  # the parents of stage 3 are rows of stage 2
sides, share = st.integers(32, 75), st.floats(0, 1)


@pytest.fixture(scope="module")
def case(tmp_path_factory):
    """A cascade and its ranges."""
    source = tiny_encoder_model()
    table = tiny_table(source, image_folder(tmp_path_factory.mktemp("images"), 3))
    return source, Quantization(table.ranges)


def codes_of(model: onnx.ModelProto) -> set[str]:
    """The activations that a lowered model quantises behind stage 1."""
    return {
        node.output[0]
        for node in model.graph.node
        if node.op_type == "QuantizeLinear" and node.name.startswith(("stage2/", "stage3/"))
    }


class Reader:
    """An engine that also returns tensors inside."""

    def __init__(self, backend: str, model: onnx.ModelProto, names: list[str]) -> None:
        exposed = onnx.ModelProto()
        exposed.CopyFrom(model)
        exposed.graph.output.extend(map(onnx.helper.make_empty_tensor_value_info, names))
        self.engine = open_onnx(backend, exposed.SerializeToString(), threads=1, precision="int8")

    def __call__(self, images: np.ndarray, rho=None) -> dict[str, np.ndarray]:
        return self.engine._pass(images, None if rho is None else np.array(rho, np.float32), {})


@pytest.mark.parametrize("backend", CPU_BACKENDS)
@pytest.mark.parametrize("what", ["codes", "logits"])
@given(
    size=st.tuples(sides, sides),
    batch=st.sampled_from([1, 2]),
    shares=st.lists(st.tuples(share, share), min_size=2, max_size=2),
)
@settings(max_examples=3)
def test_cells_that_go_on_have_what_the_dense_network_gives_them(
    case, backend, what, size, batch, shares
):
    source, quantization = case
    cascade, dense = (
        lowered(model, backend, size, batch, quantization)
        for model in (source, run_passes(source, [ToDense()]))
    )
    # The codes of the map that stage 2 reads are of a map in both.
    codes = sorted(codes_of(cascade) - {"stage2/context/relu/q"})
    assert len(codes) == 10 and codes_of(dense) >= {*codes}
    tensors = codes if what == "codes" else [*LOGITS]
    selects = [NodeView(node) for node in source.graph.node if is_region(node, REGION_SELECT)]
    rows2, rows3 = (select.output("rows") for select in selects)
    images, exported = frames(batch, size), session(source)
    whole = Reader(backend, dense, tensors)(images)
    read = Reader(backend, cascade, [*tensors, rows2, rows3])
    for rho in ((1, 1), *(rho_at(exported, images, pair) for pair in ((0.5, 0.5), *shares))):
        found = read(images, rho)
        for name in tensors:
            cells = found[rows2 if name.startswith(AT_STAGE_2) else rows3]
            values = np.moveaxis(whole[name], 1, -1).reshape(-1, whole[name].shape[1])[cells]
            if what == "codes":
                assert found[name].dtype == np.uint8
                np.testing.assert_array_equal(found[name], values, name)
            else:  # classifiers are in FP32
                np.testing.assert_allclose(found[name], values, atol=1e-4, err_msg=name)
        assert rho != (1, 1) or len(set(found[rows3].tolist())) == found["stages"].size
