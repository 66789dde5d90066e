"""OpenVINO on the CPU."""

from __future__ import annotations

import os
import re
import subprocess
import sys
from pathlib import Path

import pytest
from toy_models import toy_model

from lc_trt.errors import LcTrtError
from lc_trt.runtime.engines.openvino import OpenVINOEngine, processor_capabilities


def test_the_processor_computes_in_fp32_and_int8_at_least() -> None:
    assert {"FP32", "INT8"} <= set(processor_capabilities())


@pytest.mark.parametrize("precision", ["bf16", "fp16"])
def test_half_precision_needs_a_model_that_was_compiled_for_it(precision: str) -> None:
    """Otherwise the confidences, which decide where pixels leave, would be halves too."""
    with pytest.raises(LcTrtError, match=f"model: was not compiled for {precision}; build it: "):
        OpenVINOEngine(toy_model(), 1, precision)


def test_ctrl_c_survives_engines_that_were_closed_in_order() -> None:
    """OpenVINO's own signal stacks: of two cores, the first one's was freed and used again."""
    pytest.importorskip("openvino")
    program = """
import faulthandler, gc, signal, sys
faulthandler.enable()  # a signal stack, as applications that debug crashes have
from toy_models import toy_model
from lc_trt.backends.load import open_onnx
first, second = (open_onnx("openvino", toy_model(), threads=1) for _ in range(2))
for engine in (first, second):
    engine.close()
del first, engine; gc.collect()
del second; gc.collect()
try:
    signal.raise_signal(signal.SIGINT)
except KeyboardInterrupt:
    sys.exit(7)
"""
    tests = Path(__file__).parents[2]
    path = [str(tests / "helpers"), str(tests.parent)]
    environment = {**os.environ, "PYTHONPATH": os.pathsep.join(path)}
    default = "import signal; signal.signal(signal.SIGINT, signal.default_int_handler)"
    done = subprocess.run([sys.executable, "-c", default + program], env=environment, timeout=120)
    assert done.returncode == 7


def test_nothing_else_creates_a_core(repository: Path) -> None:
    """Two that end in the order of their creation leave a signal stack in freed memory."""
    files = [
        path
        for folder in ("lc_trt", "tools", "tests", "docs")
        for path in (repository / folder).rglob("*.py")
        if re.search(r"\b(ov|openvino)\.Core\(", path.read_text())
    ]
    assert files == [repository / "lc_trt" / "runtime" / "engines" / "openvino.py"]
