"""Draw accuracy over time: a cascade at several input sizes, its dense twin, and its peers.

    python tools/accuracy_over_time.py models/lite2-camvid/model.onnx --data CAMVID \\
        --peer PIDNet-S=runs/pidnet-s/model.onnx --out benchmarks/accuracy-over-time.json

Every network is built for one CPU backend at every size; the dense twin is the cascade compiled
without exits. Accuracy is measured at the labels' full resolution with the engines that are timed.
Then all engines run the same images interleaved, so that a slowdown of the machine affects all.
Writes JSON and a picture (PNG) beside it.
"""

from __future__ import annotations

import argparse
import json
import os
import sys
import tempfile
from collections.abc import Sequence
from contextlib import ExitStack
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt
import onnx
from matplotlib.figure import Figure

from lc_trt.backends.load import load
from lc_trt.backends.registry import compile_options
from lc_trt.builder.build import build
from lc_trt.bundle.thresholds import FAST, Rho
from lc_trt.cli.command_line import command_line
from lc_trt.cli.option_values import size as parse_size
from lc_trt.compiler.frontend.import_model import import_model
from lc_trt.compiler.options import CompileOptions
from lc_trt.compiler.pass_manager import run_passes
from lc_trt.compiler.passes.to_dense import ToDense
from lc_trt.data.datasets import Sample
from lc_trt.evaluation.data import class_set, open_samples
from lc_trt.evaluation.evaluate import evaluate
from lc_trt.evaluation.figures import png
from lc_trt.runtime.result import Result
from lc_trt.runtime.segmenter import Segmenter
from lc_trt.utils.environment import describe_environment
from lc_trt.utils.files import atomic_write
from lc_trt.utils.timing import Lane, measure

CASCADE, CASCADE_FAST, DENSE = "cascade", "cascade, fast", "its dense twin"
SIZES = ("240x320", "288x384", "360x480")


@dataclass(frozen=True)
class Point:
    """A network at an input size.

    Attributes:
        network: name of the curve.
        size: input (height, width) in pixels.
        miou: mean IoU at the labels' resolution, 0 to 1.
        shares: exit shares; None for a dense network.
        changed: share of labels that differ from the dense twin's at this size; None for peers.
        ms: median milliseconds per image, including resizing to the engine and back.
        times: milliseconds of each measured image.
    """

    network: str
    size: tuple[int, int]
    miou: float
    shares: tuple[float, float, float] | None
    changed: float | None
    ms: float
    times: list[float]


class Racer(Lane[Result]):
    """An engine at thresholds, timed on one image after the other."""

    def __init__(
        self, network: str, segmenter: Segmenter, rho: Rho | None, samples: Sequence[Sample]
    ) -> None:
        super().__init__(
            f"{network} {segmenter.manifest.size}",
            lambda number: segmenter(samples[number % len(samples)].image, rho),
            lambda number: segmenter(samples[(number - 1) % len(samples)].image, rho),
        )
        self.network, self.segmenter, self.rho = network, segmenter, rho

    def labels(self, samples: Sequence[Sample]) -> list[npt.NDArray[np.uint8]]:
        """Class index per pixel of every sample."""
        return [self.segmenter(sample.image, self.rho).labels for sample in samples]


def dense_twin(source: Path, folder: Path) -> Path:
    """Write the cascade without exits as an exchange model of its own."""
    path = folder / "dense-twin.onnx"
    onnx.save(run_passes(import_model(source).model, [ToDense()]), str(path))
    return path


def racers(
    known: argparse.Namespace, folder: Path, stack: ExitStack, samples: Sequence[Sample]
) -> list[Racer]:
    """Build and open every network at every size."""
    sources = {CASCADE: known.model, DENSE: dense_twin(known.model, folder)}
    sources |= dict(known.peer)
    opened = []
    for text in known.sizes:
        size = parse_size("--sizes", text)
        for network, source in sources.items():
            out = folder / f"{len(opened)}.lct"
            options: CompileOptions = compile_options(
                known.backend, size=size, precision=known.precision
            )
            build(source, out, options)
            segmenter = stack.enter_context(load(out, threads=known.threads))
            points: list[tuple[str, Rho | None]] = [(network, None)]
            if segmenter.manifest.kind == "cascade":
                points.append((CASCADE_FAST, FAST))
            opened += [Racer(name, segmenter, rho, samples) for name, rho in points]
            print(f"built {network} at {text}", file=sys.stderr)
    return opened


def points(opened: Sequence[Racer], samples: Sequence[Sample], rounds: int) -> list[Point]:
    """Measure accuracy, then time."""
    accuracies = []
    reference: dict[tuple[int, int], list[npt.NDArray[np.uint8]]] = {
        racer.segmenter.manifest.size: racer.labels(samples)
        for racer in opened
        if racer.network == DENSE
    }
    for racer in opened:
        manifest = racer.segmenter.manifest
        evaluation = evaluate(racer.segmenter, samples, manifest.classes, racer.rho)
        changed = None
        if manifest.kind == "cascade":
            pairs = zip(racer.labels(samples), reference[manifest.size], strict=True)
            changed = float(np.mean([np.mean(a != b) for a, b in pairs]))
        accuracies.append((evaluation.miou, evaluation.shares, changed))
        print(f"{racer.name}: mIoU {evaluation.miou:.4f}", file=sys.stderr)
    measure([opened], rounds, warmup=5)
    return [
        Point(racer.network, racer.segmenter.manifest.size, *accuracy,
              float(np.median(racer.times)), [round(t, 3) for t in racer.times])
        for racer, accuracy in zip(opened, accuracies, strict=True)
    ]  # fmt: skip


def draw(found: Sequence[Point], title: str) -> bytes:
    """The picture: one curve per network, one mark per input size."""

    def curves(figure: Figure) -> None:
        axes = figure.add_subplot()
        for network in dict.fromkeys(point.network for point in found):
            own = sorted((p for p in found if p.network == network), key=lambda p: p.ms)
            times, accuracies = [p.ms for p in own], [100 * p.miou for p in own]
            (line,) = axes.plot(times, accuracies, marker="o", label=network)
            axes.annotate(
                network, (times[-1], accuracies[-1]), xytext=(6, 0),
                textcoords="offset points", color=line.get_color(), va="center",
            )  # fmt: skip
        axes.set_xlabel("milliseconds per image (median)")
        axes.set_ylabel("mIoU, % (CamVid val)")
        axes.set_title(title)
        axes.grid(alpha=0.3)
        axes.margins(x=0.15)

    return png(curves, 7.5, 4.5)


def _peer(text: str) -> tuple[str, Path]:
    name, equals, path = text.partition("=")
    if not (name and equals and path):
        raise argparse.ArgumentTypeError(f"{text!r}: expected NAME=FILE.onnx")
    return name, Path(path)


def arguments(argv: Sequence[str]) -> argparse.Namespace:
    """Parse the command line."""
    parser = argparse.ArgumentParser(description=(__doc__ or "").partition("\n")[0])
    parser.add_argument("model", type=Path, help="cascade ONNX")
    parser.add_argument("--data", type=Path, required=True, help="CamVid folder")
    parser.add_argument("--peer", type=_peer, action="append", default=[], metavar="NAME=FILE.onnx")
    parser.add_argument("--sizes", nargs="+", default=list(SIZES), metavar="HxW")
    parser.add_argument("--backend", default="openvino")
    parser.add_argument("--precision", default="fp32")
    parser.add_argument("--threads", type=int)
    parser.add_argument("--limit", type=int, help="images, spread over the split")
    parser.add_argument("--rounds", type=int, default=101, help="images timed per engine")
    parser.add_argument("--out", type=Path, default=Path("benchmarks/accuracy-over-time.json"))
    return parser.parse_args(argv)


def main(argv: Sequence[str]) -> None:
    """Measure and write the results."""
    known = arguments(argv)
    with tempfile.TemporaryDirectory() as folder, ExitStack() as stack:
        info = import_model(known.model).info
        classes = class_set(info.classes, info.colours)
        samples = list(open_samples("folder", known.data, "val", classes, known.limit))
        opened = racers(known, Path(folder), stack, samples)
        found = points(opened, samples, known.rounds)
    environment: dict[str, Any] = describe_environment(known.threads)
    result = {
        "command": command_line("python tools/accuracy_over_time.py", argv),
        "backend": known.backend,
        "precision": known.precision,
        "environment": environment,
        "images": len(samples),
        "points": [asdict(point) for point in found],
    }
    atomic_write(known.out, json.dumps(result, indent=1).encode(), "choose another --out")
    threads = known.threads or os.cpu_count()
    title = f"Accuracy over time, {known.backend} {known.precision}, {threads} threads"
    atomic_write(known.out.with_suffix(".png"), draw(found, title), "choose another --out")
    for point in found:
        print(
            f"{point.network:22} {point.size[0]}x{point.size[1]}  "
            f"{100 * point.miou:.2f} % mIoU  {point.ms:.1f} ms"
        )


if __name__ == "__main__":
    main(sys.argv[1:])
