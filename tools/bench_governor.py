"""Hold a frame rate on this machine while other work comes and goes, with and without a governor.

    python tools/bench_governor.py [--out benchmarks/governor-cpu.json]

Builds the shipped irnet-small, tunes it on the video, and sends the video round and round through
`Segmenter.stream` twice: at its default thresholds, and governed. Each run has five phases: alone,
beside one busy process, alone, beside more of them than the target can stand, alone. The target
is what this machine reaches alone at three quarters of the course. A third run repeats one frame,
alone: there nothing but the machine's own noise may move the level. Writes the JSON and, beside
it, a figure; exits with 1 where the governed runs miss what docs/governor.md promises. Under three
minutes on two cores, which nothing else should use. Needs the video of `make demo`, and
matplotlib.
"""

from __future__ import annotations

import argparse
import json
import os
import subprocess
import sys
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, field
from itertools import islice, repeat
from pathlib import Path
from time import perf_counter
from typing import Any

import numpy as np

import lc_trt
from lc_trt.cli.command_line import command_line
from lc_trt.runtime.governor.governor import Governor
from lc_trt.runtime.segmenter import Segmenter
from lc_trt.utils.environment import describe_environment
from lc_trt.utils.files import atomic_write
from lc_trt.video.base import Image
from lc_trt.video.sources.open import open_source

SIZE = "168x400"  # the demo's
SHARE = 0.75  # of the course, where the target is set
WINDOW, HOP = 1.0, 0.2  # seconds a rate is counted over, and from one to the next
REACTION = 1.0  # seconds after a step, from which on the rate has to hold
HOLDS = 0.95  # of the target, the rate of a phase
SWING = 0.10  # of the range, what the level may move over where the input is steady
SETTLED = 3.0  # seconds, from which on that is looked at
BUSY = [sys.executable, "-c", "while True: pass"]


@dataclass(frozen=True)
class Phase:
    """Seconds beside so many busy processes; ``reachable`` is whether the rate has to hold."""

    name: str
    processes: int
    reachable: bool = True


PHASES = (
    Phase("alone", 0),
    Phase("one busy process", 1),
    Phase("alone again", 0),
    Phase("too many", 3 * (os.cpu_count() or 1), reachable=False),
    Phase("alone at last", 0),
)


@dataclass
class Trace:
    """A run, an entry a frame: seconds since its start, milliseconds of the engine, level, rho."""

    at: list[float] = field(default_factory=list)
    engine_ms: list[float] = field(default_factory=list)
    level: list[float] = field(default_factory=list)
    rho: list[tuple[float, float]] = field(default_factory=list)

    def as_dict(self) -> dict[str, Any]:
        """JSON values."""
        return {
            "at": [round(v, 3) for v in self.at],
            "engine_ms": [round(v, 2) for v in self.engine_ms],
            "level": [round(v, 4) for v in self.level],
            "rho": [[round(v, 4) for v in pair] for pair in self.rho],
        }


def endless(video: Path) -> Iterator[Image]:
    """The frames of a video, again and again; it is opened anew each time."""
    while True:
        with open_source(str(video)) as source:
            yield from (frame.image for frame in source)


@contextmanager
def busy(processes: int) -> Iterator[None]:
    """So many processes that compute, at the priority of this one."""
    started = [subprocess.Popen(BUSY) for _ in range(processes)]
    try:
        yield
    finally:
        for process in started:
            process.kill()
            process.wait()


def run(
    segmenter: Segmenter,
    frames: Iterator[Image],
    seconds: float,
    governor: Governor | None,
    phases: Sequence[Phase] = PHASES,
) -> Trace:
    """All phases, one after the other, so many seconds each."""
    trace = Trace()
    with segmenter.stream(frames, governor) as results:
        next(results)  # the first pass prepares
        start = perf_counter()
        for number, phase in enumerate(phases, start=1):
            with busy(phase.processes):
                while (now := perf_counter() - start) < number * seconds:
                    result = next(results)
                    assert result.rho is not None
                    trace.at.append(now)
                    trace.engine_ms.append(result.timing["engine"])
                    trace.level.append(1.0 if governor is None else governor.level)
                    trace.rho.append(result.rho)
    return trace


def rates(at: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    """Frames a second in each window, and the end of the window."""
    ends = np.arange(WINDOW, at[-1], HOP)
    counts = np.searchsorted(at, ends) - np.searchsorted(at, ends - WINDOW)
    return ends, counts / WINDOW


def figures(trace: Trace, seconds: float) -> list[dict[str, Any]]:
    """What each phase came to, after the time that a reaction may take."""
    at, level = np.array(trace.at), np.array(trace.level)
    found = []
    for number, phase in enumerate(PHASES):
        part = (at >= number * seconds + REACTION) & (at < (number + 1) * seconds)
        found.append(
            {
                "phase": phase.name,
                "busy_processes": phase.processes,
                "fps": round(float(part.sum()) / (seconds - REACTION), 2),
                # Beside too many, none may have come.
                "level": round(float(level[part].mean()), 3) if part.any() else None,
            }
        )
    return found


def swing(trace: Trace) -> float:
    """What part of the range the level moved over once it had settled."""
    levels = [level for at, level in zip(trace.at, trace.level, strict=True) if at >= SETTLED]
    return round(max(levels) - min(levels), 4)


def target(segmenter: Segmenter, video: Path) -> float:
    """The rate at `SHARE` of the course, alone on the machine: the median over 60 frames."""
    rho = segmenter.govern(1.0).course.rho(SHARE)
    with segmenter.stream(endless(video), rho) as results:
        times = [next(results).timing["engine"] for _ in range(70)][10:]
    return round(1e3 / float(np.median(times)), 1)


def judge(found: dict[str, Any]) -> list[str]:
    """What the governed run missed, a sentence each."""
    missed = []
    for phase, row in zip(PHASES, found["governed"]["phases"], strict=True):
        if phase.reachable and row["fps"] < HOLDS * found["target_fps"]:
            missed.append(f"{row['phase']}: {row['fps']} frames a second of {found['target_fps']}")
    if found["governed"]["summary"]["episodes"] < 1:
        missed.append("too many: it was not said that the target cannot be held")
    if found["steady"]["swing"] > SWING:
        missed.append(f"one frame: the level moves over {found['steady']['swing']:.0%}")
    return missed


def draw(found: dict[str, Any], seconds: float) -> bytes:
    """Rate, level and thresholds over time."""
    from matplotlib.figure import Figure

    from lc_trt.evaluation.figures import BLUE, GREY, VERMILION, png

    def panels(figure: Figure) -> None:
        upper, middle, lower = figure.subplots(3, 1, sharex=True, height_ratios=[3, 2, 2])
        for name, colour in (("ungoverned", GREY), ("governed", BLUE)):
            upper.plot(*rates(np.array(found[name]["trace"]["at"])), color=colour, label=name)
        upper.axhline(found["target_fps"], color=VERMILION, lw=1, ls="--", label="target")
        upper.set_ylabel("frames a second")
        upper.set_ylim(0)
        upper.legend(loc="lower left", ncols=3)
        trace = found["governed"]["trace"]
        middle.plot(trace["at"], trace["level"], color=BLUE)
        middle.set_ylabel("level")
        middle.set_ylim(-0.05, 1.05)
        for boundary, style in enumerate(("-", ":")):
            lower.plot(
                trace["at"], [pair[boundary] for pair in trace["rho"]], style, color=BLUE,
                label=f"threshold after stage {boundary + 1}",
            )  # fmt: skip
        lower.set_ylabel("rho")
        lower.set_ylim(-0.4, 1.05)  # room for the legend
        lower.legend(loc="lower left", ncols=2)
        lower.set_xlabel("seconds")
        for number, phase in enumerate(PHASES):
            middle_of = (number + 0.5) * seconds
            upper.annotate(
                phase.name, (middle_of, 1.02), xycoords=("data", "axes fraction"), ha="center",
                fontsize=8,
            )  # fmt: skip
            if phase.processes:
                for axes in (upper, middle, lower):
                    axes.axvspan(number * seconds, (number + 1) * seconds, color=GREY, alpha=0.15)

    return png(panels, 8.0, 5.6)


def prepare(model: Path, video: Path, bundle: Path) -> None:
    """Build and tune, each in a process of its own; a bundle that is there is tuned again."""
    command = [sys.executable, "-m", "lc_trt"]
    if not bundle.is_dir():
        bundle.parent.mkdir(parents=True, exist_ok=True)
        build = [*command, "build", str(model), "-o", str(bundle), "--size", SIZE]
        subprocess.run(build, check=True)
    tune = [*command, "tune", str(bundle), "--images", str(video), "--limit", "8", "--grid", "6"]
    subprocess.run(tune, check=True, stdout=sys.stderr)


def _autogroup() -> str | None:
    """The priority of this session's processes beside other sessions', None where it has none."""
    file = Path("/proc/self/autogroup")
    return file.read_text().strip().rpartition(" ")[2] if file.is_file() else None


def main() -> int:
    """Parse the command line, run, write, judge."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0] if __doc__ else None)
    parser.add_argument("--model", type=Path, default=Path("models/irnet-small-camvid/model.onnx"))
    parser.add_argument("--video", type=Path, default=Path("demo/cache/bikes.mp4"))
    parser.add_argument("--work", type=Path, default=Path("runs/governor"), help="kept for a rerun")
    parser.add_argument("--out", type=Path, default=Path("benchmarks/governor-cpu.json"))
    parser.add_argument("--seconds", type=float, default=8.0, help="of a phase")
    options = parser.parse_args()
    bundle = options.work / "irnet-small.lct"
    before = os.getloadavg()
    prepare(options.model, options.video, bundle)
    with lc_trt.load(bundle) as segmenter:
        fps = target(segmenter, options.video)
        governor = segmenter.govern(fps)
        traces = {
            "ungoverned": run(segmenter, endless(options.video), options.seconds, None),
            "governed": run(segmenter, endless(options.video), options.seconds, governor),
        }
        frame = next(islice(endless(options.video), 60, None))
        alone = PHASES[:1]
        steady = run(segmenter, repeat(frame), 2 * options.seconds, segmenter.govern(fps), alone)
        backend = f"{segmenter.manifest.backend} {segmenter.manifest.backend_version}"
    found: dict[str, Any] = {
        "command": command_line("python tools/bench_governor.py", sys.argv[1:]),
        "environment": {
            **describe_environment(None),
            "backend": backend,
            "load_before": [round(value, 2) for value in before],
            "nice": os.getpriority(os.PRIO_PROCESS, 0),
            "autogroup_nice": _autogroup(),
            "real_time": os.sched_getscheduler(0) in (os.SCHED_FIFO, os.SCHED_RR),
        },
        "model": options.model.parent.name,
        "video": options.video.name,
        "size": SIZE,
        "target_fps": fps,
        "phase_seconds": options.seconds,
    }
    for name, trace in traces.items():
        found[name] = {"phases": figures(trace, options.seconds), "trace": trace.as_dict()}
    found["governed"]["summary"] = governor.summary()
    found["steady"] = {"swing": swing(steady), "trace": steady.as_dict()}
    missed = judge(found)
    found["missed"] = missed
    picture = draw(found, options.seconds)
    # Without indentation: a trace is long.
    for path, content in (
        (options.out, (json.dumps(found) + "\n").encode()),
        (options.out.with_suffix(".png"), picture),
    ):
        atomic_write(path, content, "choose another file", option="--out")
    for name in traces:
        for row in found[name]["phases"]:
            print(f"{name}, {row['phase']}: {row['fps']} fps, level {row['level']}")
    print(f"one frame, alone: the level moves over {found['steady']['swing']:.1%} of its range")
    print("\n".join(missed) or f"{fps} frames a second held as promised")
    return int(bool(missed))


if __name__ == "__main__":
    sys.exit(main())
