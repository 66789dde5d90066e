"""What TensorRT for RTX refuses, as our message has it. A module of tests imports the fixture."""

from __future__ import annotations

import re

import onnx
import pytest

from lc_trt.errors import LcTrtError
from lc_trt.trt import api as trt
from lc_trt.trt.api import TensorRT
from lc_trt.trt.parser import parse


@pytest.fixture(scope="module")
def api() -> TensorRT:
    """The installed package."""
    if trt.installed() is None:
        pytest.skip("needs TensorRT for RTX: pip install tensorrt-rtx==1.7.1.116")
    return trt.load()


def refusal(api: TensorRT, model: onnx.ModelProto) -> list[tuple[str, str, str]]:
    """Name, operator and reason of each node that is refused."""
    with api.messages() as messages, pytest.raises(LcTrtError) as caught:
        parse(api, api.module.Builder(api.logger), model, "model.onnx", messages)
    text = str(caught.value)
    assert "\n" not in text and text.startswith(f"model.onnx: {api.package}'s parser refuses it")
    assert "driver version" not in text  # that there is no GPU is not what is wrong
    _, _, refusals = text.partition("refuses it")
    count, _, listed = refusals.partition(": ")
    found = re.findall(r"(?:^|; )('[^']*'|number \d+) \((\w+)\): (.+?)(?=; '|; number |$)", listed)
    assert count in ("", f" in {len(found)} places")
    return found
