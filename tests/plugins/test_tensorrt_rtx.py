"""TensorRT-RTX parses cascades with our plugins in it and builds engines, without a GPU."""

from __future__ import annotations

import importlib.util
import json
import os
import subprocess
import sys
from pathlib import Path
from typing import Any

import numpy as np
import onnx
import pytest
from onnx import TensorProto, helper, numpy_helper
from tiny_networks import tiny_model

from lc_trt.compiler.fold import fold_constants, freeze
from lc_trt.compiler.fold_affine import fold_affine
from lc_trt.ir.functions import DOMAIN

# Compiles the library, unless a test before did.
pytestmark = pytest.mark.slow

# The parser takes a plugin rather than the function of its name only where it is told both.
PLUGIN = {"plugin_version": "1", "plugin_namespace": "lc_trt"}
CAPABILITIES = ["SM75", "SM80", "SM86", "SM89", "SM120"]


@pytest.fixture(scope="module")
def environment(tmp_path_factory: pytest.TempPathFactory) -> dict[str, str]:
    """TensorRT-RTX under the name by which its parser loads it."""
    spec = importlib.util.find_spec("tensorrt_rtx_libs")
    if spec is None or not spec.submodule_search_locations:
        pytest.skip("needs TensorRT-RTX: pip install tensorrt-rtx==1.7.1.116")
    folder = tmp_path_factory.mktemp("tensorrt")
    (library,) = Path(spec.submodule_search_locations[0]).glob("libtensorrt_rtx.so.*")
    (folder / "libtensorrt_rtx.so").symlink_to(library)
    paths = [str(folder), os.environ.get("LD_LIBRARY_PATH", "")]
    return {**os.environ, "LD_LIBRARY_PATH": ":".join(filter(None, paths))}


def build(
    environment: dict[str, str], model: onnx.ModelProto, library: Path | str, folder: Path,
    capabilities: list[str],
) -> dict[str, Any]:  # fmt: skip
    path = folder / "model.onnx"
    onnx.save(model, path)
    script = Path(__file__).with_name("build_with_rtx.py")
    done = subprocess.run(
        [sys.executable, script, path, str(library), ",".join(capabilities)],
        capture_output=True, text=True, env=environment, check=False,
    )  # fmt: skip
    assert done.returncode == 0, done.stderr
    answer: dict[str, Any] = json.loads(done.stdout.splitlines()[-1])
    return {**answer, "stderr": done.stderr}


def cascade(trunk: str) -> onnx.ModelProto:
    """A cascade up to its probabilities and confidences, with plugin attributes.

    What follows them is cut off: TensorRT takes UINT8 only as input and output of the network,
    and the exchange format crops labels after it has cast them.
    """
    model = fold_affine(fold_constants(freeze(tiny_model(trunk), 1, (48, 72))))
    graph = model.graph
    for node in graph.node:
        if node.domain == DOMAIN:
            node.attribute.extend(helper.make_attribute(*item) for item in PLUGIN.items())
    outputs = [n.output[0] for n in graph.node if n.op_type == "RegionScatter"][-2:]
    needed, kept = set(outputs), []
    for node in reversed(graph.node):
        if needed & set(node.output):
            kept.append(node)
            needed |= set(node.input)
    del graph.node[:], graph.output[:], graph.value_info[:]
    graph.node.extend(reversed(kept))
    graph.output.extend(helper.make_tensor_value_info(o, TensorProto.FLOAT, None) for o in outputs)
    return model


@pytest.mark.parametrize("trunk", ["irnet", "inception"])
def test_a_cascade_builds_with_each_region_operator_as_our_plugin(
    environment, plugin_library, tmp_path, trunk
):
    model = cascade(trunk)
    answer = build(environment, model, plugin_library, tmp_path, CAPABILITIES)
    assert answer["loaded"] and answer["parsed"], answer
    regions = [node.name for node in model.graph.node if node.domain == DOMAIN]
    assert regions and answer["plugins"] == regions
    assert set(answer["engines"]) == set(CAPABILITIES)
    assert min(answer["engines"].values()) > plugin_library.stat().st_size, answer


def half_precision() -> onnx.ModelProto:
    """FP16 by hand, with what a lowered model adds: segments, slices, OHWI weights, INT32 masks.

    There are no functions in it, so that nothing but a plugin can make its nodes.
    """
    rng = np.random.default_rng(0)
    half, int32 = TensorProto.FLOAT16, TensorProto.INT32
    inputs = [
        helper.make_tensor_value_info("x", half, [1, 16, 6, 8]),
        helper.make_tensor_value_info("confidence", TensorProto.FLOAT, [1, 1, 6, 8]),
        helper.make_tensor_value_info("active", int32, [1, 1, 6, 8]),
        helper.make_tensor_value_info("rho", TensorProto.FLOAT, []),
    ]
    weights = {
        "w1": rng.standard_normal((24, 3, 3, 16)).astype(np.float16),
        "b1": np.zeros(24, np.float32),
        "w2": rng.standard_normal((16, 1, 1, 32)).astype(np.float16),
        "b2": np.zeros(16, np.float16),
        "none": np.zeros((1, 1), np.float16),
    }

    def region(op: str, given: list[str], made: list[str], **attributes: Any) -> onnx.NodeProto:
        return helper.make_node(op, given, made, made[0], domain=DOMAIN, **PLUGIN, **attributes)

    def conv(x: list[str], weight: str, bias: str, residual: str, y: str, size: int, **more: Any):
        given = [*x, "rows", "index", "count", weight, bias, residual]
        window = {"kernel_shape": [size, size], "dilations": [1, 1], "weight_layout": 1}
        return region("RegionConv", given, [y], activation=1, **window, **more)

    nodes = [
        region("RegionSelect", ["confidence", "active", "rho"], ["rows", "index", "count", "hard"]),
        region("RegionGather", ["x", "rows", "count"], ["entered"]),
        conv(["entered"], "w1", "b1", "none", "a", 3),
        conv(["a", "entered"], "w2", "b2", "entered", "b", 1, residual_scale=0.17,
             channel_begin=[8, 0], channel_end=[24, 16]),
        region("RegionMaxPool", ["b", "rows", "index", "count"], ["c"],
               kernel_shape=[3, 3], dilations=[1, 1]),
        region("RegionScatter", ["c", "rows", "count", "x"], ["y"]),
    ]  # fmt: skip
    outputs = [
        helper.make_tensor_value_info("y", half, [1, 16, 6, 8]),
        helper.make_tensor_value_info("hard", int32, [1, 1, 6, 8]),
    ]
    constants = [numpy_helper.from_array(value, name) for name, value in weights.items()]
    graph = helper.make_graph(nodes, "half", inputs, outputs, constants)
    opsets = [helper.make_opsetid("", 18), helper.make_opsetid(DOMAIN, 1)]
    return helper.make_model(graph, opset_imports=opsets, ir_version=10)


def test_half_precision_builds_with_segments_and_slices(environment, plugin_library, tmp_path):
    model = half_precision()
    answer = build(environment, model, plugin_library, tmp_path, CAPABILITIES)
    assert answer["parsed"], answer
    assert answer["plugins"] == [node.name for node in model.graph.node]
    assert min(answer["engines"].values()) > 0, answer


def test_a_shape_that_a_plugin_refuses_fails_the_build_with_its_reason(
    environment, plugin_library, tmp_path
):
    model = half_precision()
    (weight,) = [w for w in model.graph.initializer if w.name == "w2"]
    weight.CopyFrom(numpy_helper.from_array(np.zeros((16, 1, 1, 31), np.float16), "w2"))
    answer = build(environment, model, plugin_library, tmp_path, ["SM80"])
    assert not any(answer["engines"].values())
    reason = "lc_trt::RegionConv: the number of input channels of weight is 31, expected 32"
    # The builder gives a library that was loaded through the registry no logger.
    assert reason in answer["stderr"], answer


def test_without_the_library_the_parser_makes_no_plugin(environment, tmp_path):
    """What a build has to watch: a function's body is taken without a word, where it can be."""
    answer = build(environment, cascade("irnet"), "", tmp_path, [])
    assert answer["plugins"] == []
    assert not any("RegionConv" in line for line in answer["log"])
