"""Speed-up of the cascade and of a reduced precision on this machine, from a few timed passes."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace

import numpy as np
import numpy.typing as npt
import onnx

from lc_trt.backends.base import Compiled
from lc_trt.backends.registry import get_backend
from lc_trt.bundle.manifest import Manifest
from lc_trt.bundle.sections import Speed, SpeedRatios
from lc_trt.compiler.options import CompileOptions
from lc_trt.compiler.pass_manager import run_passes
from lc_trt.compiler.passes.to_dense import ToDense
from lc_trt.compiler.precision import Precision
from lc_trt.runtime.engines.base import Engine, EngineOutput
from lc_trt.utils.progress import ProgressMonitor
from lc_trt.utils.timing import Lane, measure, ratio

ROUNDS = 7  # timed passes of each engine, after one to warm up
_DENSE, _FP32 = "dense", "fp32"


def compare_speed(
    model: onnx.ModelProto,
    compiled: Compiled,
    options: CompileOptions,
    manifest: Manifest,
    batches: Sequence[npt.NDArray[np.uint8]],
    monitor: ProgressMonitor,
) -> Speed:
    """Compare a cascade with its dense network and with itself in FP32, at two operating points.

    The engines run interleaved on a few images: enough to warn of an engine that is slower than
    its alternatives, but not a benchmark. Narrow networks are so fast in INT8 that gathering rows
    costs more than it saves; processors with bf16 instructions may run them slower than FP32.

    Args:
        model: the exchange model of a cascade.
        compiled: its engine in reduced precision, for a CPU backend.
        options: with which it was compiled.
        manifest: of the engine.
        batches: uint8 [batch, H, W, 3] each, BGR.
        monitor: shows progress, and a warning where the engine is slower.

    Returns:
        The manifest's ``check.speed``: time of each alternative over the time of the engine.
    """
    backend, precision = get_backend(options.backend), options.precision
    options = replace(options, reuse=False)
    fp32 = replace(options, precision=Precision.FP32, quantization=None, fp32_tensors=())
    engines = {
        _DENSE: backend.open(backend.compile(run_passes(model, [ToDense()]), options)),
        _FP32: backend.open(backend.compile(model, fp32)),
    }
    candidate = backend.open(compiled)
    ratios: dict[str, dict[str, float]] = {name: {} for name in engines}
    try:
        for point, rho in {"default": manifest.default_rho, "fast": manifest.fast_rho}.items():
            thresholds = np.array(rho, np.float32)
            cascade = _lane("cascade", candidate, batches, thresholds)
            others = [_lane(name, other, batches, thresholds) for name, other in engines.items()]
            measure(
                [[cascade, *others]], ROUNDS, 1, monitor=monitor, phase=f"timing {point} thresholds"
            )
            for lane in others:
                ratios[lane.name][point] = round(ratio(lane.times, cascade.times), 3)
    finally:
        for engine in (candidate, *engines.values()):
            engine.close()
    _warn(ratios[_DENSE], f"its dense network in {precision}", "export it with --dense", monitor)
    _warn(ratios[_FP32], "itself in FP32", f"build without --{precision}", monitor)
    return Speed(SpeedRatios(**ratios[_DENSE]), SpeedRatios(**ratios[_FP32]))


def _lane(
    name: str,
    engine: Engine,
    batches: Sequence[npt.NDArray[np.uint8]],
    rho: npt.NDArray[np.float32],
) -> Lane[EngineOutput]:
    thresholds = rho if engine.kind == "cascade" else None
    return Lane(name, lambda number: engine.run(batches[number % len(batches)], thresholds))


def _warn(ratios: dict[str, float], other: str, advice: str, monitor: ProgressMonitor) -> None:
    slower = {point: ratio for point, ratio in ratios.items() if ratio < 1}
    if slower:
        figures = ", ".join(f"{point} {ratio:.2f}x" for point, ratio in slower.items())
        monitor.warn(
            f"at the {' and '.join(slower)} thresholds the cascade in this precision is slower "
            f"here than {other} ({figures}): for speed {advice}"
        )
