"""Speed-ups of a build, and the warnings where an alternative is faster."""

from __future__ import annotations

import numpy as np
import pytest
from recording_monitor import RecordingMonitor
from tiny_networks import INFO, tiny_model

from lc_trt.backends.base import Compiled
from lc_trt.backends.registry import compile_options
from lc_trt.builder.build import build
from lc_trt.builder.speed_check import ROUNDS, compare_speed
from lc_trt.bundle.sections import Speed, SpeedRatios
from lc_trt.compiler.frontend.read_onnx import load_onnx
from lc_trt.compiler.options import CompileOptions


@pytest.fixture(scope="module")
def bundle(tmp_path_factory):
    root = tmp_path_factory.mktemp("speed")
    (root / "m.onnx").write_bytes(tiny_model().SerializeToString())
    source, options = root / "m.onnx", compile_options("openvino")
    return build(source, root / "m.lct", options), load_onnx(source)


def compare(bundle, monkeypatch, times):
    """Compare with the given seconds per pass of the cascade, its dense network, and FP32."""
    built, model = bundle
    names = ("cascade", "dense", "fp32")
    rounds = range(-1, ROUNDS)  # the order rotates, and the first round does not count
    passes = [names[(number + turn) % 3] for number in rounds for turn in range(3)]
    points = 2  # default and fast thresholds
    ticks = iter([tick for name in passes * points for tick in (0.0, times[name])])
    monkeypatch.setattr("lc_trt.utils.timing.clock", lambda: next(ticks))
    monitor = RecordingMonitor()
    image = np.zeros((1, *INFO.size, 3), np.uint8)
    options = CompileOptions.of("openvino", INFO.size)
    compiled = Compiled.from_bundle(built)
    speed = compare_speed(model, compiled, options, built.manifest, [image], monitor)
    assert next(ticks, None) is None
    assert list(monitor.phases.values()) == [(len(passes), len(passes))] * points
    return speed, monitor.warnings


def test_a_faster_engine_gives_no_warning(bundle, monkeypatch):
    speed, warnings = compare(bundle, monkeypatch, {"cascade": 1.0, "dense": 2.0, "fp32": 3.0})
    assert speed == Speed(SpeedRatios(2.0, 2.0), SpeedRatios(3.0, 3.0))
    assert not warnings


def test_each_faster_alternative_is_named_with_advice(bundle, monkeypatch):
    _, warnings = compare(bundle, monkeypatch, {"cascade": 2.0, "dense": 1.0, "fp32": 1.5})
    assert len(warnings) == 2
    assert "dense network in fp32 (default 0.50x, fast 0.50x): for speed export" in warnings[0]
    assert "itself in FP32 (default 0.75x, fast 0.75x): for speed build without" in warnings[1]
