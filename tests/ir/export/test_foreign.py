"""Modules of any kind, traced into the graph of the exporter."""

from __future__ import annotations

from typing import Any

import numpy as np
import pytest
import torch
from emitted import emitted, run_emitted
from onnx import helper
from torch import Tensor, nn
from torchvision_operators import require_timm

from lc_trt.errors import LcTrtError
from lc_trt.ir.builder import GraphBuilder
from lc_trt.ir.export import foreign
from lc_trt.ir.export.encoder import emit_encoder
from lc_trt.ir.export.foreign import emit_foreign
from lc_trt.model.encoders.timm_encoder import TimmEncoder


class Foreign(nn.Module):
    """Two outputs, a parameter that is used twice, and an input of a clip that is left out."""

    def __init__(self) -> None:
        super().__init__()
        self.conv = nn.Conv2d(3, 4, 3, stride=2, padding=1)
        self.norm = nn.BatchNorm2d(4)
        self.again = nn.Conv2d(4, 4, 1, bias=False)

    def forward(self, x: Tensor) -> tuple[Tensor, Tensor]:
        y = self.again(self.norm(self.conv(x)).clamp(max=1.0))
        return y, self.again(y).sigmoid()


def test_a_module_may_be_added_twice() -> None:
    module = Foreign().eval()
    x = torch.randn(2, 3, 21, 30)

    def emit(b: GraphBuilder, names: list[str]) -> list[str]:
        first = emit_foreign(module, b, names[0], 2)
        with b.path("second"):
            return [*first, *emit_foreign(module, b, names[0], 2)]

    results = run_emitted(emit, [x])
    with torch.no_grad():
        expected = module(x)
    for result, tensor in zip(results, (*expected, *expected), strict=True):
        np.testing.assert_allclose(result, tensor, atol=1e-5)


@pytest.mark.parametrize(
    ("operator", "attributes", "message"),
    [
        ("Loop", {"body": helper.make_graph([], "body", [], [])}, "an ONNX Loop"),
        ("NMS", {"domain": "torchvision"}, "a torchvision NMS"),
    ],
)
def test_operators_that_the_compiler_does_not_read_are_refused(
    monkeypatch: pytest.MonkeyPatch, operator: str, attributes: dict[str, Any], message: str
) -> None:
    node = helper.make_node(operator, ["image"], ["feature0"], name="n", **attributes)
    graph = helper.make_graph([node], "g", [], [])
    monkeypatch.setattr(foreign, "trace", lambda *arguments: helper.make_model(graph))
    with pytest.raises(LcTrtError, match=f"Foreign cannot be exported: node n is {message}"):
        emit_foreign(Foreign(), GraphBuilder(), "x", 1)


@pytest.mark.parametrize("name", ["test_resnet", "test_convnext", "test_efficientnet"])
def test_an_encoder_of_timm_at_any_size(name: str) -> None:
    require_timm()
    torch.manual_seed(0)
    encoder = TimmEncoder(name).eval()
    for module in encoder.modules():
        if isinstance(module, nn.BatchNorm2d):
            nn.init.normal_(module.running_mean, std=0.3)
            nn.init.uniform_(module.running_var, 0.7, 1.3)
    inputs = [torch.randn(n, 3, h, w) for n, h, w in [(1, 64, 96), (2, 45, 61), (1, 33, 32)]]
    run = emitted(lambda b, names: emit_encoder(encoder, b, names[0]), inputs[:1])
    for x in inputs:
        with torch.no_grad():
            expected = encoder(x)
        for result, features in zip(run([x]), expected, strict=True):
            np.testing.assert_allclose(result, features, atol=1e-4 * float(features.abs().max()))
