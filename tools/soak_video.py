"""Soak test: loop a video through the shipped network and monitor memory and threads.

    python tools/soak_video.py [--frames 10000] [--json benchmarks/soak-irnet-small.json]

Each round is a complete `lc-trt run`: a source is opened, decoded, segmented in a stream, drawn,
encoded and closed, with the next pair of thresholds, so that regions vary between frames and
rounds. Memory and threads are recorded after each round. Exits with 1 if memory grows by 2 % or
more after the first tenth or a thread leaks, and with 130 after Ctrl-C, with the results so far.
Takes five to eight minutes on two cores.
"""

from __future__ import annotations

import argparse
import gc
import json
import statistics
import sys
import tempfile
import threading
from collections.abc import Callable
from dataclasses import dataclass, field
from pathlib import Path
from time import perf_counter
from typing import Any

import lc_trt
from lc_trt.backends.registry import compile_options
from lc_trt.bench.memory import resident_mb
from lc_trt.builder.build import build
from lc_trt.bundle.thresholds import Rho, parse_rho
from lc_trt.cli import console
from lc_trt.cli import option_values as options
from lc_trt.cli.command_line import command_line
from lc_trt.cli.interrupts import interrupts
from lc_trt.errors import LcTrtError
from lc_trt.runtime.segmenter import Segmenter
from lc_trt.runtime.visualize import View
from lc_trt.utils.environment import describe_environment
from lc_trt.utils.files import write_json
from lc_trt.utils.progress import SILENT, ProgressMonitor
from lc_trt.video import pipeline
from lc_trt.video.sinks.open import OutputSpec, open_outputs
from lc_trt.video.sources.open import open_source

ROOT = Path(__file__).parents[1]
MODEL = ROOT / "models" / "irnet-small-camvid" / "model.onnx"
VIDEO = ROOT / "demo" / "cache" / "bikes.mp4"  # make demo fetches it
# At most the number of rounds in the first tenth: engines cache per region size, so the warm-up
# has to cover all thresholds.
RHOS = ("0.9,0.6", "fast", "0.5,0.2", "0.2,0")
MOST_GROWTH = 0.02
LEVEL = 3  # rounds per median


@dataclass
class Soak:
    """Measurements after each round.

    Attributes:
        frames: number of frames done.
        seconds: duration.
        interrupted: whether Ctrl-C stopped the test.
        memory: frames done and resident MiB of the process, per round.
        threads: threads of the process per round, including the engine's.
    """

    frames: int = 0
    seconds: float = 0.0
    interrupted: bool = False
    memory: list[tuple[int, float]] = field(default_factory=list)
    threads: list[int] = field(default_factory=list)

    def count(self, frames: int) -> None:
        """Record a finished round."""
        gc.collect()
        self.frames += frames
        self.memory.append((self.frames, round(resident_mb(), 1)))
        self.threads.append(_threads())

    def growth(self, target: int) -> float | None:
        """Relative growth of memory after the first tenth of ``target`` frames.

        None if there are too few rounds.
        """
        after = [size for frames, size in self.memory if frames >= target // 10]
        if len(after) < 2 * LEVEL:
            return None
        return statistics.median(after[-LEVEL:]) / statistics.median(after[:LEVEL]) - 1

    def threads_left(self) -> int:
        """Number of leaked threads."""
        first, last = (
            statistics.median(part) for part in (self.threads[:LEVEL], self.threads[-LEVEL:])
        )
        return max(0, round(last - first))


def soak(
    segmenter: Segmenter,
    video: Path,
    target: int,
    rhos: list[Rho | None],
    *,
    monitor: ProgressMonitor = SILENT,
    stop: Callable[[], bool] = lambda: False,
) -> Soak:
    """Loop a video until ``target`` frames are done, or until ``stop()``."""
    record = Soak()
    start = perf_counter()
    with tempfile.TemporaryDirectory() as folder, monitor.phase("soaking", target) as advance:
        spec = OutputSpec([View.OVERLAY], [Path(folder) / "out.mp4"], alpha=0.5)
        while record.frames < target and not record.interrupted:
            with open_source(str(video)) as source:
                stats = pipeline.run(
                    [source],
                    segmenter,
                    open_outputs([source], spec, segmenter.manifest.colours),
                    rho=rhos[len(record.memory) % len(rhos)],
                    limit=target - record.frames,
                    on_frame=lambda *_: advance(1),
                    stop=stop,
                )
            # The source is closed by now; if the last round stopped before the end of the video,
            # threads of its decoder were still running.
            record.interrupted = stats.interrupted
            record.count(stats.frames)
    record.seconds = perf_counter() - start
    return record


def run(given: argparse.Namespace) -> int:
    """Build, run, write and judge; returns the exit code."""
    with tempfile.TemporaryDirectory() as folder:
        bundle = given.model
        if bundle.suffix == ".onnx":
            bundle = Path(folder) / "soak.lct"
            build(given.model, bundle, compile_options(size=options.size("--size", given.size)))
        with lc_trt.load(bundle, threads=given.threads) as segmenter:
            before = threading.active_count()  # importing OpenVINO starts one of its own
            dense = segmenter.engine.kind == "dense"
            rhos = [None] if dense else [parse_rho(rho) for rho in given.rho]
            with interrupts("stopping after this frame (Ctrl-C again: at once)") as pressed:
                record = soak(
                    segmenter,
                    given.video,
                    given.frames,
                    rhos,
                    monitor=console.BarMonitor(),
                    stop=pressed,
                )
            size = segmenter.engine.size
    gc.collect()
    left = threading.active_count() - before
    growth = record.growth(given.frames)
    result: dict[str, Any] = {
        "frames": record.frames,
        "wanted": given.frames,
        "interrupted": record.interrupted,
        "size": size,
        "rho": None if dense else given.rho,
        "seconds": round(record.seconds, 1),
        "fps": round(record.frames / record.seconds, 1),
        "growth_after_warmup": None if growth is None else round(growth, 4),
        "memory_mb": record.memory,
        "threads": record.threads,
        "threads_left": record.threads_left(),
        "python_threads_left": left,
        "environment": describe_environment(given.threads),
        "command": command_line("python tools/soak_video.py", sys.argv[1:]),
    }
    if given.json is None:
        print(json.dumps(result, indent=2))
    else:
        write_json(given.json, result, option="--json")
    grown = "too few rounds to tell" if growth is None else f"{growth:+.1%} after the first tenth"
    console.note(
        f"{record.frames} of {given.frames} frames in {record.seconds:.0f} s; memory {grown}; "
        f"threads {record.threads[0]} at first, {record.threads[-1]} at last"
    )
    if record.interrupted:
        return 130
    stayed = max(left, record.threads_left())
    return int(growth is None or growth >= MOST_GROWTH or stayed > 0)


def _threads() -> int:
    tasks = Path("/proc/self/task")
    return len(list(tasks.iterdir())) if tasks.is_dir() else threading.active_count()


def main() -> int:
    """Parse the command line and run."""
    parser = argparse.ArgumentParser(
        description=__doc__.splitlines()[0], formatter_class=argparse.ArgumentDefaultsHelpFormatter
    )
    parser.add_argument("--model", type=Path, default=MODEL, help="ONNX file or bundle")
    parser.add_argument("--video", type=Path, default=VIDEO)
    parser.add_argument("--frames", type=int, default=10_000)
    parser.add_argument(
        "--size", metavar="HxW", default="168x400", help="size of an engine built from ONNX"
    )
    parser.add_argument(
        "--rho", nargs="+", default=RHOS, help="threshold pairs, one per round in turn"
    )
    parser.add_argument("--threads", type=int, help="CPU threads; all by default")
    parser.add_argument("--json", type=Path, help="write the result to a file instead of stdout")
    try:
        return run(parser.parse_args())
    except LcTrtError as error:
        console.error(str(error))
        return error.exit_code


if __name__ == "__main__":
    sys.exit(main())
