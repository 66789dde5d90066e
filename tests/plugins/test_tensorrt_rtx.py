"""TensorRT for RTX parses lowered cascades with our plugins and builds plans, on a CPU."""

from __future__ import annotations

import ctypes
import logging
import subprocess
import sys
from collections import Counter
from dataclasses import dataclass, field, replace
from typing import Any

import numpy as np
import onnx
import pytest
from compilation import lowered_for_tensorrt
from fake_library import library_bytes
from int8_cases import image_folder, tiny_table
from onnx import TensorProto, helper, numpy_helper
from rtx_plans import CAPABILITIES, SIZE, created_plugins, regions
from tiny_networks import tiny_model

from lc_trt.bundle.sections import Profile
from lc_trt.compiler.options import Quantization
from lc_trt.compiler.passes.quantization_plan import make_plan, select_layers
from lc_trt.compiler.pipeline import prepare
from lc_trt.errors import LcTrtError
from lc_trt.ir.interface import DOMAIN
from lc_trt.trt.api import TensorRT
from lc_trt.trt.parser import parse
from lc_trt.trt.plugin_library import open_library
from lc_trt.utils.progress import ProgressMonitor

# Compiles the library, unless an earlier test did.
pytestmark = pytest.mark.slow

# The parser prefers a plugin over the function of its name only if both attributes are set.
PLUGIN = {"plugin_version": "1", "plugin_namespace": "lc_trt"}


@dataclass
class Recorder(ProgressMonitor):
    """Records its calls."""

    phases: list[str] = field(default_factory=list)
    open: list[str] = field(default_factory=list)

    def start(self, phase: str, steps: int) -> None:
        assert steps >= 0
        self.phases.append(phase)
        self.open.append(phase)

    def finish(self, phase: str) -> None:
        self.open.remove(phase)


@pytest.mark.parametrize("precision", ["fp16", "fp32"])
@pytest.mark.parametrize("trunk", ["irnet", "inception"])
def test_a_cascade_builds_with_each_region_operator_as_our_plugin(build, trunk, precision, caplog):
    model = lowered_for_tensorrt(tiny_model(trunk), SIZE, 1, precision)
    monitor = Recorder()
    with caplog.at_level(logging.DEBUG, "lc_trt.tensorrt"):
        plan = build(model, "8.9", monitor=monitor)
    assert len(plan.content) > 10_000
    created = created_plugins(caplog.messages)
    # The trace of the parser's calls: each region operator once, in the graph's order.
    assert created == [node.op_type for node in regions(model)]
    assert "Building engine" in monitor.phases and monitor.open == []


def test_the_network_has_our_plugins_and_nothing_that_counts_rows(api, plugin_library):
    model = lowered_for_tensorrt(tiny_model("irnet"), SIZE, 1, "fp16")
    api.load_plugins(open_library(plugin_library))
    with api.messages() as messages:
        builder = api.module.Builder(api.logger)
        network = parse(api, builder, model, "model", messages)
    layers = [network.get_layer(i) for i in range(network.num_layers)]
    kinds = Counter(layer.type.name for layer in layers)
    assert kinds["PLUGIN_V3"] == len(regions(model)) > 10
    names = {layer.name for layer in layers if layer.type.name == "PLUGIN_V3"}
    assert names == {node.name for node in regions(model)}
    # What the functions' bodies are made of: rows found on the host, or gathered one by one.
    assert not {"NON_ZERO", "SCATTER", "CUMULATIVE", "LOOP", "ASSERTION"} & set(kinds)
    gathers = [layer.name for layer in layers if layer.type.name == "GATHER"]
    assert gathers == ["stage2/rho", "stage3/rho"]  # one threshold of the two


def test_a_range_of_batches_and_sizes_builds(build):
    model = lowered_for_tensorrt(tiny_model("irnet"), None, None, "fp16")
    sizes = Profile((32, 48), SIZE, (64, 96))
    plan = build(model, "8.6", batch=Profile(1, 2, 4), size=sizes)
    assert len(plan.content) > 10_000


@pytest.fixture(scope="module")
def mixed(tmp_path_factory: pytest.TempPathFactory) -> onnx.ModelProto:
    """A cascade of any size in INT8, except for one layer within a block."""
    source = tiny_model("irnet", "aspp")
    ranges = tiny_table(source, image_folder(tmp_path_factory.mktemp("images"), 2)).ranges
    plan = make_plan(prepare(source, SIZE, 1))
    keep = select_layers(plan, ("stage2/0/branches/branch1/1",))
    return lowered_for_tensorrt(source, None, None, "fp16", Quantization(ranges, keep))


@pytest.mark.parametrize("capability", CAPABILITIES)
def test_int8_builds_with_readers_of_both_kinds(build, mixed, capability, caplog):
    """The trace has each plugin, and RegionConv in INT8 at its inputs or not by its overload."""
    sizes = Profile((32, 48), SIZE, (64, 96))
    with caplog.at_level(logging.DEBUG, "lc_trt.tensorrt"):
        plan = build(mixed, capability, batch=Profile(1, 2, 4), size=sizes)
    assert len(plan.content) > 10_000
    created = created_plugins(caplog.messages)
    assert created == [node.op_type for node in regions(mixed)] and "RegionQuantize" in created
    overloads = Counter(n.overload.split("_")[0] for n in regions(mixed) if n.overload)
    assert overloads["int8"] > 20 and set(overloads) == {"int8", "segments1", "segments4"}


def half_precision(half: int = TensorProto.FLOAT16) -> onnx.ModelProto:
    """A hand-made half-precision graph, as lowered: segments, slices, weights, masks.

    There are no functions in it, so that nothing but a plugin can make its nodes.
    """
    rng = np.random.default_rng(0)
    int32, array = TensorProto.INT32, helper.tensor_dtype_to_np_dtype(half)
    inputs = [
        helper.make_tensor_value_info("x", half, [1, 16, 6, 8]),
        helper.make_tensor_value_info("confidence", TensorProto.FLOAT, [1, 1, 6, 8]),
        helper.make_tensor_value_info("active", int32, [1, 1, 6, 8]),
        helper.make_tensor_value_info("rho", TensorProto.FLOAT, []),
    ]
    weights = {
        "w1": rng.standard_normal((24, 3, 3, 16)).astype(array),
        "b1": np.zeros(24, np.float32),
        "w2": rng.standard_normal((16, 1, 1, 32)).astype(array),
        "b2": np.zeros(16, array),
        "none": np.zeros((1, 1), array),
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


@pytest.mark.parametrize("capability", CAPABILITIES)
@pytest.mark.parametrize("half", [TensorProto.FLOAT16, TensorProto.BFLOAT16])
def test_half_precision_builds_with_segments_and_slices(build, capability, half):
    if half == TensorProto.BFLOAT16 and capability.startswith("7"):
        pytest.skip("BF16 needs compute capability 8.0")
    assert len(build(half_precision(half), capability).content) > 10_000


def codes() -> onnx.ModelProto:
    """A hand-made INT8 graph with every plugin that supports it, without floating point between.

    RegionConv writes INT8, then FP16 for a reader in floating point, of which RegionQuantize makes
    codes again. There are no functions in it, as above.
    """
    rng = np.random.default_rng(0)
    half, int32 = TensorProto.FLOAT16, TensorProto.INT32
    inputs = [
        helper.make_tensor_value_info("x", half, [1, 32, 6, 8]),
        helper.make_tensor_value_info("confidence", TensorProto.FLOAT, [1, 1, 6, 8]),
        helper.make_tensor_value_info("active", int32, [1, 1, 6, 8]),
        helper.make_tensor_value_info("rho", TensorProto.FLOAT, []),
    ]
    weights = {
        "step": np.array(0.05, np.float16), "zero": np.array(0, np.int8),
        "w1": rng.integers(-127, 128, (48, 3, 3, 32)).astype(np.int8),
        "w2": rng.integers(-127, 128, (32, 1, 1, 64)).astype(np.int8),
        "s1": np.full(48, 1e-3, np.float32), "b1": np.zeros(48, np.float32),
        "s2": np.full(32, 1e-3, np.float32), "b2": np.zeros(32, np.float32),
        "none": np.zeros((1, 1), np.int8), "base": np.zeros((1, 32, 6, 8), np.float16),
    }  # fmt: skip
    window = {"dilations": [1, 1], "weight_layout": 1, "activation": 1}
    region = ["rows", "index", "count"]

    def node(op: str, given: list[str], made: list[str], **attributes: Any) -> onnx.NodeProto:
        return helper.make_node(op, given, made, made[0], domain=DOMAIN, **PLUGIN, **attributes)

    nodes = [
        helper.make_node("QuantizeLinear", ["x", "step", "zero"], ["codes"], "q"),
        node("RegionSelect", ["confidence", "active", "rho"], [*region, "hard"]),
        node("RegionGather", ["codes", "rows", "count"], ["a"]),
        node("RegionConv", ["a", *region, "w1", "s1", "b1", "none"], ["b"], kernel_shape=[3, 3],
             overload="int8_segments1", **window),
        node("RegionMaxPool", ["b", *region], ["c"], kernel_shape=[3, 3], dilations=[1, 1]),
        node("RegionConv", ["c", "a", *region, "w2", "s2", "b2", "a"], ["d"],
             kernel_shape=[1, 1], channel_begin=[16, 0], channel_end=[48, 32], output_type=2,
             residual_factor=0.05, overload="int8_segments2", **window),
        node("RegionQuantize", ["d", "count"], ["e"], scale=0.05),
        node("RegionRestrict", ["e", "index", "rows", "count"], ["f"]),
        node("RegionConv", ["f", *region, "w3", "s2", "b2", "d"], ["g"], kernel_shape=[1, 1],
             output_type=2, overload="int8_segments1", **window),
        node("RegionScatter", ["g", "rows", "count", "base"], ["y"]),
    ]  # fmt: skip
    weights["w3"] = weights["w2"][..., :32]
    outputs = [helper.make_tensor_value_info("y", half, [1, 32, 6, 8])]
    constants = [numpy_helper.from_array(value, name) for name, value in weights.items()]
    graph = helper.make_graph(nodes, "codes", inputs, outputs, constants)
    opsets = [helper.make_opsetid("", 19), helper.make_opsetid(DOMAIN, 1)]
    return helper.make_model(graph, opset_imports=opsets, ir_version=10)


def test_int8_builds_and_stays_int8_between_plugins(api, build, plugin_library):
    for capability in CAPABILITIES:
        assert len(build(codes(), capability).content) > 10_000
    api.load_plugins(open_library(plugin_library))
    with api.messages() as messages:
        builder = api.module.Builder(api.logger)
        network = parse(api, builder, codes(), "model", messages)
    types = {}
    for layer in (network.get_layer(i) for i in range(network.num_layers)):
        if layer.type.name == "PLUGIN_V3":
            types[layer.name] = layer.get_output(0).dtype
    int8, half = api.module.int8, api.module.float16
    found = {name: types[name] for name in "abcdefg"}
    assert found == dict.fromkeys("abcef", int8) | dict.fromkeys("dg", half)


def test_a_shape_that_a_plugin_refuses_fails_the_build_with_its_reason(
    build, plugin_library, capfd
):
    # The harness, in tests before this one, may have given the library its logger.
    ctypes.CDLL(str(plugin_library)).setLoggerFinder(None)
    model = half_precision()
    (weight,) = [w for w in model.graph.initializer if w.name == "w2"]
    weight.CopyFrom(numpy_helper.from_array(np.zeros((16, 1, 1, 31), np.float16), "w2"))
    with pytest.raises(LcTrtError, match=r"built no engine.*Plugin node b.*reason is on stderr"):
        build(model, "8.0")
    reason = "lc_trt::RegionConv: the number of input channels of weight is 31, expected 32"
    assert reason in capfd.readouterr().err


# --- accepted silently by TensorRT, refused by us -------------------------------------------------


def test_a_node_that_names_no_plugin_is_refused(build):
    model = lowered_for_tensorrt(tiny_model("irnet"), SIZE, 1, "fp16")
    node = regions(model)[3]
    for attribute in [a for a in node.attribute if a.name in PLUGIN]:
        node.attribute.remove(attribute)
    with pytest.raises(LcTrtError, match=f"node '{node.name}' .* names no plugin"):
        build(model, "8.9")


def test_a_library_without_entry_points_is_refused(api, tmp_path):
    path = tmp_path / "liblc_trt_plugins.so"
    path.write_bytes(library_bytes())
    with pytest.raises(LcTrtError, match=r"does not load it.*lc-trt plugin build"):
        fresh(api).load_plugins(open_library(path))


def fresh(api: TensorRT) -> TensorRT:
    """The same package without a record of loaded plugins."""
    return replace(api)


def test_another_library_in_the_same_process_is_refused(api, build, tmp_path, plugin_library):
    api.load_plugins(open_library(plugin_library))
    copy = tmp_path / plugin_library.name
    copy.write_bytes(plugin_library.read_bytes())
    api.load_plugins(open_library(copy))
    copy.write_bytes(plugin_library.read_bytes() + b"more")
    with pytest.raises(LcTrtError, match="has loaded another plugin library"):
        api.load_plugins(open_library(copy))


def test_all_nodes_that_the_parser_refuses_are_named(build):
    value = helper.make_tensor_value_info
    nodes = [
        helper.make_node("NonZero", ["x"], ["a"], "first"),
        helper.make_node("Relu", ["x"], ["r"], "fine"),
        helper.make_node("Frobnicate", ["r"], ["b"], "second", domain="other"),
        helper.make_node("NonZero", ["x"], ["c"], "third"),
    ]
    outputs = [value("a", 7, None), value("b", 1, None), value("c", 7, None)]
    graph = helper.make_graph(nodes, "g", [value("x", 1, [4])], outputs)
    opsets = [helper.make_opsetid("", 18), helper.make_opsetid("other", 1)]
    model = helper.make_model(graph, opset_imports=opsets, ir_version=10)
    with pytest.raises(LcTrtError) as caught:
        build(model, "8.9")
    message = str(caught.value)
    assert "refuses it in 3 places: " in message and "fine" not in message and "\n" not in message
    for node in ("'first' (NonZero): ", "'second' (Frobnicate): ", "'third' (NonZero): "):
        assert node in message


@pytest.mark.parametrize("stopped", ["start", "done", "finish"])
def test_an_interrupt_stops_the_build_and_leaves_the_process(build, stopped):
    monitor = Recorder()

    def interrupt(*_: object) -> None:
        raise KeyboardInterrupt

    setattr(monitor, stopped, interrupt)
    with pytest.raises(KeyboardInterrupt):
        build(half_precision(), "8.9", monitor=monitor)


# --- the short name -------------------------------------------------------------------------------


def test_the_parser_finds_its_library_without_loader_settings(plugin_library, tmp_path):
    """In a new process, which would crash at the first plugin without the short name.

    That the package has been imported before must not matter.
    """
    onnx.save(half_precision(), tmp_path / "model.onnx")
    code = """
import sys, tensorrt_rtx, onnx
from pathlib import Path
from lc_trt.trt import api as trt
from lc_trt.trt.builder import build_plan
from lc_trt.bundle.sections import Profile
from lc_trt.trt.options import PlanOptions
options = PlanOptions(plugin=Path(sys.argv[2]), compute_capabilities=("8.9",))
plan = build_plan(trt.load("tensorrt_rtx"), onnx.load(sys.argv[1]), options,
                  batch=Profile.of(1), size=Profile.of((48, 64)), gpu=None)
print(len(plan.content))
"""
    done = subprocess.run(
        [sys.executable, "-c", code, tmp_path / "model.onnx", plugin_library],
        capture_output=True, text=True, check=False,
    )  # fmt: skip
    assert done.returncode == 0, done.stderr
    assert int(done.stdout) > 10_000


def test_the_short_name_resolves_to_the_loaded_library(api):
    assert ctypes.CDLL("libtensorrt_rtx.so").getInferLibVersion() == 10701
