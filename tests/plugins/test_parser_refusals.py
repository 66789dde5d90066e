"""The parser's errors name the refused plugins, which print their own reasons."""

from __future__ import annotations

import ctypes
from pathlib import Path

import pytest
from compilation import lowered_for_tensorrt
from parser_refusals import api, refusal
from tiny_networks import tiny_model

from lc_trt.ir.interface import DOMAIN
from lc_trt.trt.api import TensorRT
from lc_trt.trt.plugin_library import open_library

__all__ = ["api"]


def test_all_refused_plugins_are_named(
    api: TensorRT, plugin_library: Path, capfd: pytest.CaptureFixture[str]
) -> None:
    # The harness, in tests before this one, may have given the library its logger.
    ctypes.CDLL(str(plugin_library)).setLoggerFinder(None)
    api.load_plugins(open_library(plugin_library))
    model = lowered_for_tensorrt(tiny_model(), (48, 72), 1, "fp16")
    convolutions = [n for n in model.graph.node if n.domain == DOMAIN and n.op_type == "RegionConv"]
    spoilt = convolutions[0], convolutions[3], convolutions[-1]
    for convolution in spoilt:
        (kernel,) = [a for a in convolution.attribute if a.name == "kernel_shape"]
        convolution.attribute.remove(kernel)
    found = refusal(api, model)
    assert [name for name, *_ in found] == [repr(n.name) for n in spoilt]
    assert {operator for _, operator, _ in found} == {"RegionConv"}
    assert {reason.partition(" (")[2] for *_, reason in found} == {"its own reason is on stderr)"}
    said = "lc_trt::RegionConv: the attribute kernel_shape is missing"
    assert capfd.readouterr().err.count(said) == len(spoilt)
