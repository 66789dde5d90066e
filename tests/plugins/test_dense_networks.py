"""TensorRT's parser accepts every dense network of the bench, at its real widths."""

from __future__ import annotations

from pathlib import Path
from types import SimpleNamespace
from typing import Any, cast

import onnx
import pytest
from compilation import lowered_for_tensorrt
from toy_models import toy_manifest

from lc_trt.bench.networks import BASELINES, export_baseline
from lc_trt.bundle.bundle import Bundle
from lc_trt.compiler.pass_manager import run_passes
from lc_trt.compiler.passes.to_dense import ToDense
from lc_trt.trt import api as trt
from lc_trt.trt.parser import parse

pytestmark = pytest.mark.slow
SIZE = (96, 128)


def dense(name: str, repository: Path) -> onnx.ModelProto:
    if name in BASELINES:
        return export_baseline(name, cast(Bundle, SimpleNamespace(manifest=toy_manifest())))
    return run_passes(
        onnx.load(repository / "models" / "irnet-small-camvid" / "model.onnx"), [ToDense()]
    )


@pytest.mark.parametrize(
    ("name", "precision"),
    [*((name, "fp16") for name in (*BASELINES, "irnet-small")), ("irnet-small", "bf16")],
)
def test_the_parser_takes_it_without_a_plugin(repository: Path, name: str, precision: str) -> None:
    if trt.installed() is None:
        pytest.skip("needs TensorRT for RTX: pip install tensorrt-rtx==1.7.1.116")
    api = trt.load()
    model = lowered_for_tensorrt(dense(name, repository), SIZE, 1, precision)
    with api.messages() as messages:
        builder: Any = api.module.Builder(api.logger)
        network = parse(api, builder, model, name, messages)
    layers = [network.get_layer(i) for i in range(network.num_layers)]
    convolutions = [layer for layer in layers if layer.type.name == "CONVOLUTION"]
    # Strongly typed: a convolution is in FP16 because the ONNX says so.
    half = {"fp16": api.module.float16, "bf16": api.module.bfloat16}[precision]
    assert len(convolutions) > 12 and {c.get_output(0).dtype for c in convolutions} == {half}
    assert not [layer.name for layer in layers if layer.type.name == "PLUGIN_V3"]
    outputs = {network.get_output(i).name for i in range(network.num_outputs)}
    assert outputs == {"labels", "confidence"}
