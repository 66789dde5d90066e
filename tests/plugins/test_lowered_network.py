"""TensorRT for RTX parses the lowered trained network; only plugins process rows."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import onnx
import pytest
from compilation import lowered_for_tensorrt

from lc_trt.compiler.options import Quantization
from lc_trt.ir.interface import DOMAIN
from lc_trt.quantization.calibration_table import read_table
from lc_trt.trt import api as trt
from lc_trt.trt.parser import parse
from lc_trt.trt.plugin_library import open_library

# Compiles the library, unless an earlier test did.
pytestmark = pytest.mark.slow


@pytest.fixture
def parsed(repository: Path, plugin_library: Path) -> Any:
    """Parses the trained network, lowered; gives the lowered ONNX and TensorRT's layers."""
    if "tensorrt_rtx" not in trt.PACKAGES or trt.installed() is None:
        pytest.skip("needs TensorRT for RTX: pip install tensorrt-rtx==1.7.1.116")
    api = trt.load("tensorrt_rtx")
    api.load_plugins(open_library(plugin_library))
    source = onnx.load(repository / "models" / "irnet-small-camvid" / "model.onnx")
    alive: list[Any] = []

    def run(*arguments: Any) -> tuple[onnx.ModelProto, list[Any], Any]:
        model = lowered_for_tensorrt(source, *arguments)
        with api.messages() as messages:
            builder = api.module.Builder(api.logger)
            network = parse(api, builder, model, "irnet-small", messages)
        alive.append((builder, network))  # its layers die with it
        layers = [network.get_layer(i) for i in range(network.num_layers)]
        return model, layers, api.module

    return run


@pytest.mark.parametrize(
    ("symbolic", "half"),
    [(False, "fp16"), (True, "fp16"), (False, "bf16")],
    ids=["fixed", "symbolic", "bf16"],
)
def test_no_layer_of_tensorrt_reads_rows(parsed, symbolic, half):
    model, layers, module = parsed(*((None, None) if symbolic else ((64, 96), 1)), half)
    kind = {"fp16": module.float16, "bf16": module.bfloat16}[half]
    operators = {n.name: n.op_type for n in model.graph.node if n.domain == DOMAIN}
    plugins = [layer for layer in layers if layer.name in operators]
    assert len(plugins) == len(operators) == 93
    features = [layer for layer in plugins if "Scatter" not in operators[layer.name]]
    rows = {layer.get_output(0).name: layer for layer in features}
    read = 0
    for layer in layers:
        inputs = [layer.get_input(i) for i in range(layer.num_inputs)]
        found = [tensor for tensor in inputs if tensor is not None and tensor.name in rows]
        assert not found or layer.name in operators, f"{layer.name} reads {found[0].name}"
        read += len(found)
    assert read > len(plugins)
    for layer in features:
        if operators[layer.name] != "RegionSelect":
            assert layer.get_output(0).dtype == kind


def test_region_convolutions_receive_int8_rows_and_weights(repository, parsed):
    """From TensorRT's layers; kept layers and classifiers are FP16."""
    ranges = read_table(repository / "calib" / "irnet-small-camvid.json").ranges
    keep = ("stage2/3/project/conv",)
    model, layers, module = parsed((64, 96), 1, "fp16", Quantization(ranges, keep))
    int8, half = module.int8, module.float16
    convs = {n.name: n for n in model.graph.node if n.op_type == "RegionConv"}
    floating = set()
    for layer in (layer for layer in layers if layer.name in convs):
        types = [layer.get_input(i).dtype for i in range(layer.num_inputs)]
        if types[0] == half:
            floating.add(layer.name)
            assert layer.get_output(0).dtype == half
            continue
        *xs, _, _, _, weight, scale, bias, residual = types
        assert {*xs, weight} == {int8} and scale == bias == module.float32
        assert layer.get_output(0).dtype in (int8, half) and residual in (int8, half)
    assert floating - set(keep) == {"head2/3/conv", "head3/1/conv"} and len(convs) == 84
    names = {n.name for n in model.graph.node if n.op_type in ("RegionGather", "RegionRestrict")}
    moving = [layer for layer in layers if layer.name in names]
    assert len(moving) == 5 and all(layer.get_output(0).dtype == int8 for layer in moving)
