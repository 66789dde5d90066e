"""Models before and after a pass: graphs of a few operators, and whether both compute the same."""

from __future__ import annotations

from collections.abc import Mapping, Sequence

import numpy as np
import numpy.typing as npt
import onnx
from onnx import TensorProto, helper, numpy_helper
from tiny_networks import frames, middle_rho, run, session

from lc_trt.compiler.graph import Graph
from lc_trt.compiler.pass_manager import Pass, PassReport, run_passes
from lc_trt.compiler.passes.fold_constants import FoldConstants
from lc_trt.compiler.passes.freeze import Freeze

SIZE = (52, 75)
FORMS = [("irnet", "plain"), ("irnet", "aspp"), ("inception", "aspp")]
ALL_OR_NONE = ((-1, -1), (1, 1), (-1, 1))  # thresholds


def operators(model: onnx.ModelProto) -> set[str]:
    """Types of the nodes."""
    return {node.op_type for node in model.graph.node}


def frozen(model: onnx.ModelProto, batch: int = 2) -> onnx.ModelProto:
    """An exchange model at one size, whose shapes are constants."""
    return run_passes(model, [Freeze(batch, SIZE), FoldConstants()])


def assert_same(before: onnx.ModelProto, after: onnx.ModelProto, atol: float = 1e-5) -> None:
    """Compare two cascades in ONNX Runtime on empty, partial and full regions."""
    images = frames(2, SIZE)
    a, b = session(before), session(after)
    for rho in (*ALL_OR_NONE, middle_rho(a, images)):
        expected, found = run(a, images, rho), run(b, images, rho)
        assert np.array_equal(found["stages"], expected["stages"])
        assert (found["labels"] == expected["labels"]).mean() >= 0.999
        np.testing.assert_allclose(found["confidence"], expected["confidence"], atol=atol)


def graph_of(
    nodes: Sequence[onnx.NodeProto],
    constants: Mapping[str, npt.ArrayLike] | None = None,
    x: Sequence[int | str] = (1, 2, 3, 3),
    y: Sequence[int | str] | None = None,
    kinds: tuple[int, int] = (TensorProto.FLOAT, TensorProto.FLOAT),
) -> onnx.ModelProto:
    """A model from ``x`` to ``y``, of the same shape unless ``y`` has its own."""
    graph = helper.make_graph(
        list(nodes), "g",
        [helper.make_tensor_value_info("x", kinds[0], x)],
        [helper.make_tensor_value_info("y", kinds[1], x if y is None else y)],
        [numpy_helper.from_array(np.asarray(v), k) for k, v in (constants or {}).items()],
    )  # fmt: skip
    return helper.make_model(graph, opset_imports=[helper.make_opsetid("", 18)], ir_version=10)


def report_of(model: onnx.ModelProto, step: Pass) -> PassReport:
    """The report of a pass on a model."""
    return step.apply(Graph(model))


def reasons(model: onnx.ModelProto, step: Pass) -> dict[str, str]:
    """Why a pass left nodes, by their names."""
    return {skipped.node: skipped.reason for skipped in report_of(model, step).skipped}
