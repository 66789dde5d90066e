"""TensorRT for RTX parses the trained network as we lower it, and does nothing itself to rows."""

from __future__ import annotations

import onnx
import pytest

from lc_trt import trt
from lc_trt.compiler.pipeline import compile_for_tensorrt
from lc_trt.ir.functions import DOMAIN
from lc_trt.plan.network import parse
from lc_trt.plugin_library import open_library

# Compiles the library, unless a test before did.
pytestmark = pytest.mark.slow


@pytest.mark.parametrize("symbolic", [False, True], ids=["fixed", "symbolic"])
def test_no_layer_of_tensorrt_s_own_reads_rows_of_a_region(repository, plugin_library, symbolic):
    if "tensorrt_rtx" not in trt.PACKAGES or trt.installed() is None:
        pytest.skip("needs TensorRT for RTX: pip install tensorrt-rtx==1.7.1.116")
    api = trt.load("tensorrt_rtx")
    api.load_plugins(open_library(plugin_library))
    source = onnx.load(repository / "models" / "irnet-small-camvid" / "model.onnx")
    model = compile_for_tensorrt(source, *((None, None) if symbolic else ((64, 96), 1)), "fp16")
    with api.messages() as messages:
        network = parse(api, api.module.Builder(api.logger), model, "irnet-small", messages)
    layers = [network.get_layer(i) for i in range(network.num_layers)]
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
            assert layer.get_output(0).dtype == api.module.float16
