"""Benchmark a cascade in FP32, bf16 and INT8 against dense networks in one run.

    python tools/bench_precision.py [--preset irnet] [--rounds 25] [--out FILE.json]

Exports the preset with seeded random weights (speed does not depend on them), calibrates it on
scikit-image's photographs and runs it at the published exit shares of LC fast, a different frame
and region each time, interleaved with its dense network in every precision and backend. Exits with
1 if a row misses its target. Takes about fifteen minutes on two otherwise idle cores; the JSON
records the load of the machine.
"""

from __future__ import annotations

import argparse
import sys
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np

from lc_trt.backends.registry import get_backend
from lc_trt.bench.operating_points import NONE_EXIT, find_rho
from lc_trt.bench.shares import jittered
from lc_trt.bench.timing import EngineLane
from lc_trt.cli import console
from lc_trt.cli.command_line import command_line
from lc_trt.compiler.frontend.import_model import import_model
from lc_trt.compiler.options import CompileOptions, Quantization
from lc_trt.compiler.pass_manager import run_passes
from lc_trt.compiler.passes.quantization_plan import make_plan
from lc_trt.compiler.passes.to_dense import ToDense
from lc_trt.compiler.pipeline import prepare
from lc_trt.data.metrics import mean_shares
from lc_trt.data.published import POINTS
from lc_trt.errors import LcTrtError
from lc_trt.model.presets import find_preset
from lc_trt.quantization.activation_collector import ActivationCollector
from lc_trt.training.export import export_file
from lc_trt.utils.environment import describe_environment
from lc_trt.utils.files import write_json
from lc_trt.utils.timing import measure, percentiles, ratio
from lc_trt.video.sample_frames import load_frames

SIZE = (300, 500)
CALIBRATED = 4  # calibration images; speed does not depend on the ranges
REFERENCE = "dense fp32 onnxruntime"
# (row, reference, required speed-up)
REQUIRED = (
    ("fast int8 openvino", (REFERENCE,), 6.5),
    ("fast bf16 openvino", (REFERENCE,), 3.8),
    ("fast int8 openvino", ("dense int8 openvino", "dense int8 onnxruntime"), 1.75),
)
COMBINATIONS = (
    ("fp32", "onnxruntime"), ("fp32", "openvino"), ("bf16", "openvino"), ("int8", "openvino"),
    ("int8", "onnxruntime"),
)  # fmt: skip


@dataclass(frozen=True)
class Verdict:
    """A row and its target; ``over`` is the fastest of the references."""

    row: str
    over: str
    found: float
    required: float

    @property
    def met(self) -> bool:
        """Whether the target is met."""
        return self.found >= self.required


def main() -> int:
    """Run all steps; returns the exit code."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--out", type=Path, default=Path("benchmarks/cpu-precision.json"))
    parser.add_argument("--preset", default="irnet")
    parser.add_argument("--heads", choices=("plain", "aspp"), help="default: the preset's own")
    parser.add_argument("--rounds", type=int, default=25)
    parser.add_argument("--warmup", type=int, default=3)
    parser.add_argument("--threads", type=int, default=None)
    parser.add_argument("--work", type=Path, default=Path("runs/precision"), help="for the ONNX")
    known = parser.parse_args()
    environment = describe_environment(known.threads)
    known.work.mkdir(parents=True, exist_ok=True)
    lanes = run(known)
    result = {
        "preset": known.preset,
        "heads": known.heads or find_preset(known.preset).heads,
        "size": list(SIZE),
        "rounds": known.rounds,
        "rows": [row(lane, lanes) for lane in lanes],
        "environment": environment,
        "command": command_line("python tools/bench_precision.py", sys.argv[1:]),
    }
    verdicts = judge({lane.name: lane.times for lane in lanes})
    result["verdicts"] = [{**v.__dict__, "met": v.met} for v in verdicts]
    write_json(known.out, result, option="--out", parents=True)
    for entry in result["rows"]:
        print(f"{entry['name']}: {entry['p50_ms']} ms, {entry['speedup']}x")
    for v in verdicts:
        verdict = "met" if v.met else "missed"
        print(f"{v.row} over {v.over}: {v.found:.2f}x, required {v.required}x: {verdict}")
    return int(not all(v.met for v in verdicts))


def run(known: argparse.Namespace) -> list[EngineLane]:
    """Measure all rows."""
    path = known.work / f"{known.preset}-{known.heads}.onnx"
    export_file(path, preset=known.preset, checkpoint=None, size=SIZE, heads=known.heads)
    model = import_model(path).model
    frames = [f[None] for f in load_frames(None, known.rounds + known.warmup, SIZE)]
    folded = prepare(model, SIZE, 1)
    collector = ActivationCollector(folded, make_plan(folded), known.threads)
    ranges: dict[str, tuple[float, float]] = {}
    for frame in frames[:CALIBRATED]:
        for name, values in collector.run(frame, (NONE_EXIT, NONE_EXIT)):
            low, high = ranges.get(name, (0.0, 0.0))
            ranges[name] = (min(low, float(values.min())), max(high, float(values.max())))
    del collector
    shares = jittered(POINTS["LC fast"].shares, len(frames), 0)
    lanes = []
    for form, source in (("dense", run_passes(model, [ToDense()])), ("fast", model)):
        for precision, backend in COMBINATIONS:
            how = Quantization(ranges) if precision == "int8" else None
            options = CompileOptions.of(backend, SIZE, 1, precision, quantization=how)
            runner = get_backend(backend)
            try:
                engine = runner.open(runner.compile(source, options), threads=known.threads)
            except LcTrtError as error:
                console.warn(f"{form} {precision} {backend} left out: {error}")
                continue
            rho = None
            if form == "fast":
                pairs = zip(frames, shares, strict=True)
                rho = [find_rho(engine, frame, [wanted])[0] for frame, wanted in pairs]
            lanes.append(EngineLane(f"{form} {precision} {backend}", engine, frames, rho))
    measure([lanes], known.rounds, known.warmup, monitor=console.BarMonitor())
    return lanes


def row(lane: EngineLane, lanes: list[EngineLane]) -> dict[str, Any]:
    """Values of a lane."""
    reference = next(other for other in lanes if other.name == REFERENCE)
    times = percentiles(lane.times)
    return {
        "name": lane.name,
        **{f"{name}_ms": round(value, 2) for name, value in times.items()},
        "fps": round(1e3 / times["p50"], 2),
        "speedup": round(ratio(reference.times, lane.times), 3),
        "shares": [round(s, 4) for s in mean_shares(lane.shares)] if lane.shares else None,
    }


def judge(times: dict[str, list[float]]) -> list[Verdict]:
    """Compare the rows that ran with their targets."""
    found = []
    for name, over, required in REQUIRED:
        others = [other for other in over if other in times]
        if name in times and others:
            fastest = min(others, key=lambda other: float(np.median(times[other])))
            reached = ratio(times[fastest], times[name])
            found.append(Verdict(name, fastest, round(reached, 3), required))
    return found


if __name__ == "__main__":
    sys.exit(main())
