"""The one place that starts ONNX Runtime."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import onnx
import pytest
from onnx import TensorProto, helper
from tiny_networks import frames, run, tiny_model

from lc_trt.runtime.engines.onnxruntime import open_session

SPINNING = "session.intra_op.allow_spinning"


@pytest.fixture(scope="module")
def model() -> onnx.ModelProto:
    return tiny_model()


@pytest.mark.parametrize("threads", [None, 1, 2])
@pytest.mark.parametrize("spinning", [True, False])
def test_options_reach_the_session(
    model: onnx.ModelProto, threads: int | None, spinning: bool
) -> None:
    session = open_session(model.SerializeToString(), threads=threads, spinning=spinning)
    options = session.get_session_options()
    assert options.intra_op_num_threads == (threads or 0)  # 0: its own choice
    assert session.get_providers() == ["CPUExecutionProvider"]
    if spinning:
        with pytest.raises(RuntimeError, match=SPINNING):
            options.get_session_config_entry(SPINNING)
    else:
        assert options.get_session_config_entry(SPINNING) == "0"


def test_a_network_of_functions_loads_without_a_warning(
    model: onnx.ModelProto, tmp_path: Path, capfd: pytest.CaptureFixture[str]
) -> None:
    path = tmp_path / "model.onnx"
    path.write_bytes(model.SerializeToString())
    images = frames(1)
    found = run(open_session(path), images, (0.9, 0.9))
    assert capfd.readouterr().err == ""
    expected = run(open_session(model.SerializeToString(), threads=1), images, (0.9, 0.9))
    np.testing.assert_array_equal(found["labels"], expected["labels"])


def test_the_graph_that_runs_can_be_written(model: onnx.ModelProto, tmp_path: Path) -> None:
    path = tmp_path / "optimized.onnx"
    open_session(model.SerializeToString(), optimized=path)
    optimized = onnx.load(path)
    assert not optimized.functions and len(optimized.graph.node) > len(model.graph.node)


def test_a_graph_can_run_as_it_stands(tmp_path: Path) -> None:
    """Of two additions the first is of constants: it goes where the graph may be rewritten."""
    graph = helper.make_graph(
        [
            helper.make_node("Add", ["one", "one"], ["two"]),
            helper.make_node("Add", ["x", "two"], ["y"]),
        ],
        "g",
        [helper.make_tensor_value_info("x", TensorProto.FLOAT, [1])],
        [helper.make_tensor_value_info("y", TensorProto.FLOAT, [1])],
        [helper.make_tensor("one", TensorProto.FLOAT, [1], [1.0])],
    )
    content = helper.make_model(
        graph, opset_imports=[helper.make_opsetid("", 18)], ir_version=8
    ).SerializeToString()
    path = tmp_path / "run.onnx"
    for optimize, additions in ((True, 1), (False, 2)):
        session = open_session(content, optimize=optimize, optimized=path)
        assert [n.op_type for n in onnx.load(path).graph.node] == ["Add"] * additions
        assert session.run(None, {"x": np.ones(1, np.float32)})[0] == 3


def test_nothing_else_starts_onnx_runtime(repository: Path) -> None:
    files = [p for d in ("lc_trt", "tools", "tests") for p in (repository / d).rglob("*.py")]
    starting = [p for p in files if "InferenceSession(" in p.read_text() and p != Path(__file__)]
    assert starting == [repository / "lc_trt" / "runtime" / "engines" / "onnxruntime.py"]
