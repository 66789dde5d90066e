"""The bench of a bundle: frames, engines, thresholds, timing, report."""

from __future__ import annotations

from contextlib import ExitStack
from pathlib import Path

import numpy as np
import numpy.typing as npt

from lc_trt.bench import networks
from lc_trt.bench.accuracy import Accuracies
from lc_trt.bench.memory import soak
from lc_trt.bench.operating_points import at_own_rho, thresholds
from lc_trt.bench.options import Options
from lc_trt.bench.race import race
from lc_trt.bench.recompile import options_like
from lc_trt.bench.report import Report
from lc_trt.bench.rows import slower_rows, target_of, timed_rows
from lc_trt.bench.timing import EngineLane, cascade_lanes
from lc_trt.bundle.bundle import SOURCE, read_bundle
from lc_trt.compiler.frontend.read_onnx import load_onnx
from lc_trt.compiler.options import check_shape
from lc_trt.data import published
from lc_trt.errors import UsageError
from lc_trt.ir.cost import stage_macs
from lc_trt.utils.environment import describe_environment, describe_gpu
from lc_trt.utils.progress import SILENT, ProgressMonitor
from lc_trt.utils.timing import measure
from lc_trt.video.sample_frames import describe, load_frames

BUSY = 0.1  # share of the CPU time used by other processes, above which a report warns


def run_bench(
    path: Path, options: Options, *, command: str = "", monitor: ProgressMonitor = SILENT
) -> Report:
    """Measure a bundle.

    Args:
        path: the bundle.
        options: how to measure.
        command: the command line, for the report.
        monitor: shows progress.

    Raises:
        LcTrtError: the bundle, the content or a backend cannot be used.
        UsageError: options that do not fit the bundle, or an invalid size, batch or device.
    """
    bundle = read_bundle(path)
    manifest = bundle.manifest
    packages = (manifest.tensorrt.package, "cuda") if manifest.tensorrt else ()
    environment = describe_environment(options.threads, *packages)
    if manifest.kind == "dense" and options.shares:
        raise UsageError(f"--shares: {path} is a dense network, which has no stages; leave it out")
    # Published speeds are at one size; a foreign dense network may support only its own.
    default = published.SIZE if manifest.kind == "cascade" else manifest.size
    size, batch = options.size or default, options.batch or manifest.batch
    check_shape(size, batch)
    accuracies = Accuracies(options.accuracy) if options.peers else None
    device, gpu = networks.check_runs(bundle, options.device)
    frames = _batches(options, size, batch)
    source = load_onnx(bundle.file(SOURCE))
    compile_options = options_like(bundle, size, batch, device=device, gpu=gpu)
    dense = networks.dense_networks(
        bundle, source, compile_options, options.threads,
        baselines=options.baselines, peers=options.peers, all_runners=options.all_runners,
    )  # fmt: skip
    with ExitStack() as stack:
        with monitor.phase("compiling", len(dense) + 1) as advance:
            lanes = []
            for network in dense:
                lanes.append(EngineLane(network.row, network.load(), frames))
                stack.callback(lanes[-1].engine.close)
                advance(1)
            if manifest.kind == "cascade":
                engine = networks.open_own(bundle, source, compile_options, options.threads)
                stack.callback(engine.close)
            else:
                engine = lanes[-1].engine
            advance(1)
        splits: list[EngineLane] = []
        if engine.kind == "cascade":
            rhos = thresholds(manifest, engine, frames, options, monitor)
            points, splits = cascade_lanes(engine, frames, rhos)
            lanes += points
        environment |= describe_gpu(engine.gpu)
        measure([lanes, splits], options.rounds, options.warmup, monitor=monitor)
        memory = None
        if options.soak:
            memory = soak(engine, frames, options.soak, seed=options.seed, monitor=monitor)
    macs = stage_macs(source, size) if splits else None
    rows, reference = timed_rows(dense, lanes, splits, macs, manifest.precision, batch)
    raced = None
    if accuracies is not None:
        precisions = [row.precision for row in rows]
        raced = race(dense, lanes, [row.fps for row in rows], precisions, manifest, accuracies)
    return Report(
        model=manifest.name,
        rows=rows,
        reference=reference,
        size=size,
        batch=batch,
        rounds=options.rounds,
        content=describe(options.images),
        environment=environment,
        command=command,
        target=target_of(rows, options.target_fps),
        memory=memory,
        race=raced,
        bound=manifest.bound,
        bound_applies=size == manifest.size and at_own_rho("LC", manifest, options),
        notes=[*bundle.notes, *slower_rows(rows), *_disturbed(environment["busy_before"])],
    )


def _batches(options: Options, size: tuple[int, int], batch: int) -> list[npt.NDArray[np.uint8]]:
    """One batch per round, uint8 [N, H, W, 3]."""
    count = options.rounds + options.warmup
    frames = load_frames(options.images, count * batch, size, options.seed)
    groups = [np.stack(frames[i * batch : (i + 1) * batch]) for i in range(count)]
    # Warm-up rounds have numbers below 0: they take the first frames, and measured rounds the rest.
    return [*groups[options.warmup :], *groups[: options.warmup]]


def _disturbed(busy: float | None) -> list[str]:
    if busy is None or busy < BUSY:
        return []
    return [
        f"other processes used {busy:.0%} of the CPU before the bench, which disturbs its figures"
    ]
