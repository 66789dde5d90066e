"""Calls of region operators' functions, one node in a graph, on regions of any shape."""

from __future__ import annotations

import numpy as np
import onnx
import torch
from hypothesis import strategies as st
from onnx import TensorProto, helper
from tiny_networks import session

from lc_trt.ir.functions import region_function
from lc_trt.ir.interface import DOMAIN, IR_VERSION, OPSET, VERSION
from lc_trt.ir.region_ops import OPERATORS
from lc_trt.model.region import CompactRegion

INT, FLOAT, BOOL = TensorProto.INT32, TensorProto.FLOAT, TensorProto.BOOL


def call(name, feed, outputs, function=None, **attributes):
    """One node of the operator in a graph of its own."""
    function = function or region_function(OPERATORS[name])
    types = {k: helper.np_dtype_to_tensor_dtype(k) for k in {v.dtype for v in feed.values()}}
    node = helper.make_node(
        name, list(feed), list(outputs), domain=DOMAIN, overload=function.overload, **attributes
    )
    graph = helper.make_graph(
        [node],
        "one",
        [
            helper.make_tensor_value_info(k, types[v.dtype], [f"{k}{i}" for i in range(v.ndim)])
            for k, v in feed.items()
        ],
        [
            helper.make_tensor_value_info(k, t, [f"{k}{i}" for i in range(rank)])
            for k, (t, rank) in outputs.items()
        ],
    )
    model = helper.make_model(
        graph,
        functions=[function],
        opset_imports=[helper.make_opsetid("", OPSET), helper.make_opsetid(DOMAIN, VERSION)],
        ir_version=IR_VERSION,
    )
    onnx.checker.check_model(model)
    return session(model).run(list(outputs), feed)


masks = st.builds(
    lambda n, h, w, share, seed: np.random.default_rng(seed).random((n, 1, h, w)) < share,
    st.sampled_from([1, 3]),
    st.integers(1, 9),
    st.integers(1, 9),
    st.sampled_from([0.0, 0.2, 0.6, 1.0]),
    st.integers(0, 999),
)
windows = st.sampled_from(
    [((1, 1), (1, 1)), ((3, 3), (1, 1)), ((3, 3), (2, 2)), ((1, 7), (1, 2)), ((7, 1), (2, 1)),
     ((3, 3), (24, 24)), ((3, 1), (4, 1))]
)  # fmt: skip


def described(mask):
    """A region in torch, and the same as the operators' inputs."""
    region = CompactRegion(torch.from_numpy(mask))
    n, _, h, w = mask.shape
    rows = region.rows.numpy().astype(np.int32)
    index = region.index.numpy().astype(np.int32).reshape(n, h, w)
    return region, rows, index, np.array([len(rows)], np.int32)
