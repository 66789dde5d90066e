"""Benchmark temporal reuse on videos: computed pixels, label agreement, speed.

    python tools/bench_reuse.py models/irnet-small-camvid/model.onnx VIDEO... [--frames 100]

Each frame runs through the engine without reuse and, for each tolerance, through the engine with
reuse, interleaved in varying order. Writes JSON and a plot beside it. Exits with 1 if, at the
default tolerance, label agreement with the engine without reuse is below 99 % for a video.
"""

from __future__ import annotations

import argparse
import sys
from dataclasses import replace
from itertools import islice
from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt
from matplotlib.backends.backend_agg import FigureCanvasAgg
from matplotlib.figure import Figure

from lc_trt.backends.registry import resolve_backend
from lc_trt.bundle.thresholds import parse_rho
from lc_trt.cli import console
from lc_trt.cli.command_line import command_line
from lc_trt.compiler.frontend.import_model import import_model
from lc_trt.compiler.options import CompileOptions
from lc_trt.compiler.passes import temporal_reuse as reuse
from lc_trt.ir.cost import StageMacs, stage_macs
from lc_trt.ir.interface import EVERY, TOLERANCE, PixelWork
from lc_trt.runtime.engines.base import Engine, EngineOutput
from lc_trt.runtime.inference import infer_reusing
from lc_trt.runtime.resize import to_size
from lc_trt.runtime.temporal_reuse import Reuse
from lc_trt.utils.environment import busy, describe_environment
from lc_trt.utils.files import atomic_file, write_json
from lc_trt.utils.timing import Lane, take_turns
from lc_trt.video.sources.open import open_source

REQUIRED = 0.99
TOLERANCES = (0.1, TOLERANCE, 0.3)
WARMUP = 3  # frames whose times do not count
BUSY = 0.1  # part of the processor that others use
QUIET = "nothing else ran beside it"
SHARED = "other work ran beside it: shares and agreement hold, times are to be measured again"
ALL_EXIT = np.full(2, -1, np.float32)
Image = npt.NDArray[np.uint8]


class ReuseLane(Lane[EngineOutput]):
    """Runs a video with or without reuse, frame by frame.

    Attributes:
        reuse: options; None without reuse.
        labels: of the latest frame.
        computed: share of pixels computed, per frame.
        reused: share of pixels reused, per frame.
        reached: share of pixels that reach stage 3, per frame.
        agreement: label agreement with the engine without reuse, per frame.
    """

    labels: npt.NDArray[np.uint8]

    def __init__(
        self,
        engine: Engine,
        images: list[Image],
        rho: npt.NDArray[np.float32],
        reuse: Reuse | None = None,
    ) -> None:
        # An untimed pass first, since threads of another engine may still spin.
        def settle(number: int) -> EngineOutput:
            return engine.run(images[number], ALL_EXIT)

        def run(number: int) -> EngineOutput:
            if reuse is None:
                return engine.run(images[number], rho)
            return infer_reusing(engine, images[number], rho, reuse, (None,))

        name = "without" if reuse is None else f"tolerance {reuse.tolerance:g}"
        super().__init__(name, run, settle, self._collect)
        self.reuse = reuse
        self.computed: list[float] = []
        self.reused: list[float] = []
        self.reached: list[float] = []
        self.agreement: list[float] = []

    def _collect(self, out: EngineOutput) -> None:
        assert out.stages is not None
        self.labels = out.labels
        self.reached.append(float((out.stages == 3).mean()))
        work = out.work if out.work is not None else (out.stages > 1) * int(PixelWork.COMPUTED)
        self.computed.append(float(np.isin(work, (PixelWork.COMPUTED, PixelWork.CONTEXT)).mean()))
        self.reused.append(float(np.isin(work, (PixelWork.KEPT, PixelWork.CONTEXT)).mean()))


def read(video: str, count: int | None, size: tuple[int, int]) -> list[Image]:
    """The first frames at the engine's input size, uint8 [1, H, W, 3] each."""
    with open_source(video) as source:
        return [to_size(frame.image, size)[None] for frame in islice(source, count)]


def measure(
    images: list[Image],
    plain: Engine,
    reusing: Engine,
    rho: npt.NDArray[np.float32],
    tolerances: tuple[float, ...],
    every: int,
    macs: StageMacs,
) -> tuple[dict[str, Any], list[dict[str, Any]]]:
    """Results of a video without reuse and with each tolerance."""
    off = ReuseLane(plain, images, rho)
    lanes = [off]
    lanes += [ReuseLane(reusing, images, rho, Reuse(t, every=every)) for t in tolerances]
    still: list[float] = []
    before: npt.NDArray[np.uint8] | None = None
    with console.BarMonitor().phase("measuring", len(images) * len(lanes)) as advance:
        for number in range(len(images)):
            for _ in take_turns([lanes], number):
                advance(1)
            for lane in lanes:
                lane.agreement.append(float((lane.labels == off.labels).mean()))
            if before is not None:
                still.append(float((off.labels == before).mean()))
            before = off.labels
    base = {
        "frames": len(images),
        "hard": round(float(np.mean(off.computed)), 4),
        "labels_equal_to_the_frame_before": round(float(np.mean(still)), 4),
        "p50_ms": round(float(np.median(off.times[WARMUP:])), 2),
    }
    return base, [row(lane, off, macs) for lane in lanes[1:]]


def row(lane: ReuseLane, off: ReuseLane, macs: StageMacs) -> dict[str, Any]:
    """Results of a tolerance; the ceiling assumes an unchanged share of stage 3."""
    assert lane.reuse is not None
    hard, last, computed = (float(np.mean(x)) for x in (off.computed, off.reached, lane.computed))
    ceiling = macs.at(hard, last) / macs.at(computed, computed * last / max(hard, 1e-9))
    times, reference = lane.times[WARMUP:], off.times[WARMUP:]
    return {
        "tolerance": lane.reuse.tolerance,
        "computed": round(float(np.mean(lane.computed)), 4),
        "computed_of_hard": round(sum(lane.computed) / max(sum(off.computed), 1e-9), 4),
        "reused": round(float(np.mean(lane.reused)), 4),
        "agreement": round(float(np.mean(lane.agreement)), 5),
        "agreement_worst_frame": round(min(lane.agreement), 5),
        "p50_ms": round(float(np.median(times)), 2),
        # Over the whole video, since a median would ignore frames that are computed entirely.
        "speedup": round(sum(reference) / sum(times), 3),
        "ceiling": round(ceiling, 3),
    }


def draw(result: dict[str, Any], path: Path) -> None:
    """Plot computed share, agreement and speed-up over the tolerance, one line per video."""
    panels = (
        ("computed_of_hard", "part of the hard pixels computed", (0, 1.03)),
        ("agreement", "labels equal to those without reuse", None),
        ("speedup", "speed-up over the engine without reuse", None),
    )
    figure = Figure(figsize=(10, 3.3), layout="constrained")
    for number, (name, title, limits) in enumerate(panels, start=1):
        axes = figure.add_subplot(1, 3, number)
        for video, colour, marker in zip(
            result["videos"], ("#0072B2", "#D55E00"), "os", strict=False
        ):
            points = [(r["tolerance"], r[name]) for r in video["rows"]]
            axes.plot(*zip(*points, strict=True), color=colour, marker=marker, label=video["name"])
        axes.axvline(result["default_tolerance"], color="grey", linestyle=":", linewidth=1)
        if name == "agreement":
            axes.axhline(REQUIRED, color="black", linewidth=1)
            axes.annotate("required", (axes.get_xlim()[0], REQUIRED), fontsize=8, va="bottom")
        elif name == "speedup":
            axes.axhline(1, color="black", linewidth=1)
        else:
            axes.legend(fontsize=8)
        if limits:
            axes.set_ylim(*limits)
        axes.set_title(title, fontsize=10, loc="left")
        axes.set_xlabel("tolerance (dotted: the default)")
        axes.spines[["top", "right"]].set_visible(False)
    with atomic_file(path, "choose another file", option="--out") as partial:
        FigureCanvasAgg(figure).print_png(str(partial), metadata={"Software": None})


def main() -> int:
    """Run all steps; returns the exit code."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0] if __doc__ else None)
    parser.add_argument("model", type=Path)
    parser.add_argument("videos", nargs="+", help="the plot shows at most two")
    parser.add_argument("--out", type=Path, default=Path("benchmarks/cpu-reuse.json"))
    parser.add_argument("--frames", type=int, default=0, help="frames per video; 0 for all")
    parser.add_argument("--size", default="300x500", help="HxW")
    parser.add_argument("--rho", help="R1[,R2]; default: the model's own")
    parser.add_argument("--every", type=int, default=EVERY)
    parser.add_argument("--tolerances", type=float, nargs="+", default=list(TOLERANCES))
    parser.add_argument(
        "--around", type=int, default=reuse.AROUND, help="see compiler/passes/temporal_reuse.py"
    )
    parser.add_argument("--context", type=int, default=reuse.CONTEXT, help="likewise")
    parser.add_argument("--backend", default="openvino")
    parser.add_argument("--threads", type=int)
    known = parser.parse_args()
    reuse.AROUND, reuse.CONTEXT = known.around, known.context
    environment = describe_environment(known.threads)
    height, width = map(int, known.size.split("x"))
    size = (height, width)
    imported = import_model(known.model)
    model, info = imported.model, imported.info
    rho = np.array(parse_rho(known.rho) if known.rho else info.default_rho, np.float32)
    backend = resolve_backend(known.backend)
    options = CompileOptions.of(backend.name, size)
    plain, reusing = (
        backend.open(backend.compile(model, replace(options, reuse=reusing)), threads=known.threads)
        for reusing in (False, True)
    )
    macs = stage_macs(model, size)
    videos = []
    for video in known.videos:
        images = read(video, known.frames or None, size)
        tolerances = tuple(known.tolerances)
        base, rows = measure(images, plain, reusing, rho, tolerances, known.every, macs)
        videos.append({"name": Path(video).stem, **base, "rows": rows})
    environment["busy_after"] = busy()
    others = max(environment["busy_before"] or 0, environment["busy_after"] or 0)
    result = {
        "model": info.name,
        "size": list(size),
        "rho": [round(float(r), 4) for r in rho],
        "every": known.every,
        "around": known.around,
        "context": known.context,
        "default_tolerance": TOLERANCE,
        "videos": videos,
        "environment": environment,
        "note": QUIET if others <= BUSY else SHARED,
        "command": command_line("python tools/bench_reuse.py", sys.argv[1:]),
    }
    write_json(known.out, result, option="--out", parents=True)
    draw(result, known.out.with_suffix(".png"))
    met = True
    for video in videos:
        print(f"{video['name']}: {video['frames']} frames, {video['hard']:.1%} hard, "
              f"{video['p50_ms']} ms without reuse")  # fmt: skip
        for entry in video["rows"]:
            print(
                f"  tolerance {entry['tolerance']:g}: {entry['computed']:.1%} computed, "
                f"{entry['reused']:.1%} reused, {entry['agreement']:.2%} of labels agree, "
                f"{entry['p50_ms']} ms, {entry['speedup']:.2f}x of {entry['ceiling']:.2f}x"
            )
            if entry["tolerance"] == TOLERANCE:
                met = met and entry["agreement"] >= REQUIRED
    return int(not met)


if __name__ == "__main__":
    sys.exit(main())
