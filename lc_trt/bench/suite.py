"""The bench of a bundle: frames, engines, thresholds, timing, report."""

from __future__ import annotations

from collections.abc import Sequence
from contextlib import ExitStack
from dataclasses import dataclass, replace
from pathlib import Path

import numpy as np
import numpy.typing as npt

from lc_trt.bench import networks
from lc_trt.bench.accuracy import Accuracies
from lc_trt.bench.memory import soak
from lc_trt.bench.networks import DenseNetwork
from lc_trt.bench.operating_points import ALL_EXIT, Rho, find_rho, rho_pair
from lc_trt.bench.race import race
from lc_trt.bench.recompile import options_like
from lc_trt.bench.report import Report, Row, Target
from lc_trt.bench.shares import jittered
from lc_trt.bench.timing import EngineLane, stage_times
from lc_trt.bundle.bundle import SOURCE, read_bundle
from lc_trt.bundle.manifest import Manifest
from lc_trt.compiler.frontend.read_onnx import load_onnx
from lc_trt.compiler.options import check_shape
from lc_trt.data import published
from lc_trt.data.metrics import Shares, mean_shares
from lc_trt.errors import UsageError
from lc_trt.ir.cost import StageMacs, stage_macs
from lc_trt.runtime.engines.base import Engine
from lc_trt.utils.environment import describe_environment, describe_gpu
from lc_trt.utils.progress import SILENT, ProgressMonitor
from lc_trt.utils.timing import measure, percentiles, ratio
from lc_trt.video.sample_frames import describe, load_frames

BUSY = 0.1  # share of the CPU time used by other processes, above which a report warns


@dataclass(frozen=True)
class Options:
    """How to measure.

    Attributes:
        images: folder, image or video; None takes the photographs of scikit-image.
        size: (height, width) in pixels; None is the published size, for a dense bundle its own.
            The network is compiled again in memory if size or batch are not the bundle's.
        batch: images per pass; None is the bundle's.
        shares: target shares per row, ``LC`` and ``LC fast``. Other rows run at the bundle's
            thresholds if its weights are trained, else at the published shares.
        threads: CPU threads; None for all.
        device: GPU of a TensorRT bundle (`lc_trt.load`); None for the default.
        baselines: whether to include VGG16 and ResNet-101.
        peers: whether to include PIDNet-S and DDRNet-23-slim, and to show speed beside accuracy.
        accuracy: folder of results of ``lc-trt eval --json`` for that; None for those of this
            checkout, if there are any.
        all_runners: whether to run dense networks on every installed backend; the fastest is the
            reference.
        target_fps: required frame rate of LC fast (of a dense bundle, of the dense row); None is
            the published one for a cascade, and none for a dense network.
        rounds: measured rounds.
        warmup: unmeasured rounds before them.
        soak: passes to observe the memory over; 0 for none.
        seed: of frames and shares.
    """

    images: Path | None = None
    size: tuple[int, int] | None = None
    batch: int | None = None
    shares: dict[str, Shares] | None = None
    threads: int | None = None
    device: str | None = None
    baselines: bool = False
    peers: bool = False
    accuracy: Path | None = None
    all_runners: bool = False
    target_fps: float | None = None
    rounds: int = 25
    warmup: int = 3
    soak: int = 0
    seed: int = 0


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
            points, splits = _cascade_lanes(engine, frames, rhos)
            lanes += points
        environment |= describe_gpu(engine.gpu)
        measure([lanes, splits], options.rounds, options.warmup, monitor=monitor)
        memory = None
        if options.soak:
            memory = soak(engine, frames, options.soak, seed=options.seed, monitor=monitor)
    macs = stage_macs(source, size) if splits else None
    rows, reference = _rows(dense, lanes, splits, macs, manifest.precision, batch)
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
        target=_target(rows, options.target_fps),
        memory=memory,
        race=raced,
        bound=manifest.bound,
        bound_applies=size == manifest.size and _at_own_rho("LC", manifest, options),
        notes=[*bundle.notes, *_slower(rows), *_disturbed(environment["busy_before"])],
    )


def thresholds(
    manifest: Manifest,
    engine: Engine,
    frames: Sequence[npt.NDArray[np.uint8]],
    options: Options,
    monitor: ProgressMonitor = SILENT,
) -> dict[str, list[Rho]]:
    """The thresholds of each frame at the operating points ``LC`` and ``LC fast``.

    Args:
        manifest: of the bundle.
        engine: its cascade.
        frames: uint8 [N, H, W, 3] each, BGR.
        options: how to measure.
        monitor: shows progress.

    Returns:
        float32 [2] per frame, by row.
    """
    own = {"LC": manifest.default_rho, "LC fast": manifest.fast_rho}
    requested = options.shares or {}
    targets: dict[str, list[Shares]] = {}
    rhos: dict[str, list[Rho]] = {}
    for row, point in published.POINTS.items():
        rho = own[row]
        if rho is not None and _at_own_rho(row, manifest, options):
            rhos[row] = [rho_pair(*rho)] * len(frames)
        else:
            targets[row] = jittered(requested.get(row, point.shares), len(frames), options.seed)
            rhos[row] = []
    if targets:
        for i, frame in enumerate(monitor.track("finding thresholds", frames)):
            shares = [draws[i] for draws in targets.values()]
            for row, pair in zip(targets, find_rho(engine, frame, shares), strict=True):
                rhos[row].append(pair)
    return rhos


def _at_own_rho(row: str, manifest: Manifest, options: Options) -> bool:
    """Whether an operating point runs at the bundle's thresholds, not at target shares."""
    return manifest.trained is not None and row not in (options.shares or {})


def _batches(options: Options, size: tuple[int, int], batch: int) -> list[npt.NDArray[np.uint8]]:
    """One batch per round, uint8 [N, H, W, 3]."""
    count = options.rounds + options.warmup
    frames = load_frames(options.images, count * batch, size, options.seed)
    groups = [np.stack(frames[i * batch : (i + 1) * batch]) for i in range(count)]
    # Warm-up rounds have numbers below 0: they take the first frames, and measured rounds the rest.
    return [*groups[options.warmup :], *groups[: options.warmup]]


def _cascade_lanes(
    engine: Engine, frames: Sequence[npt.NDArray[np.uint8]], rhos: dict[str, list[Rho]]
) -> tuple[list[EngineLane], list[EngineLane]]:
    """The lanes of the operating points, and the partial passes that give the time per stage.

    The latter are stage 1 alone, then stages 1 and 2 of each operating point.
    """
    rows = [EngineLane(row, engine, frames, rho) for row, rho in rhos.items()]
    first = [rho_pair(ALL_EXIT, ALL_EXIT)] * len(frames)
    splits = [EngineLane("stage 1", engine, frames, first)]
    for row, rho in rhos.items():
        cut = [rho_pair(float(r[0]), ALL_EXIT) for r in rho]
        splits.append(EngineLane(f"{row}, stages 1 and 2", engine, frames, cut))
    return rows, splits


def _rows(
    dense: Sequence[DenseNetwork],
    lanes: Sequence[EngineLane],
    splits: Sequence[EngineLane],
    macs: StageMacs | None,
    precision: str,
    batch: int,
) -> tuple[list[Row], Row]:
    """All rows, and the one that speed-ups are relative to."""
    own = [i for i, network in enumerate(dense) if network.own]  # the reference is no baseline
    # By the paired ratio, like speed-ups: on a noisy machine, medians may rank differently.
    reference = max(own, key=lambda i: ratio(lanes[own[0]].times, lanes[i].times))
    rows = []
    for i, lane in enumerate(lanes):
        latency = percentiles(lane.times)
        row = Row(
            name=lane.name,
            backend=lane.engine.backend,
            precision=dense[i].precision if lane.rho is None else precision,
            fps=1e3 * batch / latency["p50"],
            latency_ms=latency,
            speedup=ratio(lanes[reference].times, lane.times),
        )
        if lane.rho is None:
            rows.append(replace(row, published_fps=dense[i].published_fps))
            continue
        shares = mean_shares(lane.shares)
        assert macs is not None
        cut = splits[1 + i - len(dense)]
        rows.append(
            replace(
                row,
                stage_ms=stage_times(splits[0].times, cut.times, lane.times),
                shares=shares,
                # Operations are linear in the shares, so the mean shares give the mean operations.
                ceiling=macs.dense / macs.at(1.0 - shares[0], shares[2]),
                published_fps=published.POINTS[lane.name].fps,
            )
        )
    return rows, rows[reference]


def _target(rows: Sequence[Row], required: float | None) -> Target | None:
    last = rows[-1]  # LC fast, or the dense network
    if required is None:
        if last.shares is None:
            return None
        required = published.TARGET_FPS
    return Target(last.name, last.fps, required)


def _slower(rows: Sequence[Row]) -> list[str]:
    """Notes on operating points that are slower than the dense network."""
    return [
        f"{row.name} is slower than the dense network in {row.precision}: {row.speedup:.2f}x"
        for row in rows
        if row.shares is not None and row.speedup < 1
    ]


def _disturbed(busy: float | None) -> list[str]:
    if busy is None or busy < BUSY:
        return []
    return [
        f"other processes used {busy:.0%} of the CPU before the bench, which disturbs its figures"
    ]
