"""The whole bench of one bundle: frames, engines, thresholds, timing, report."""

from __future__ import annotations

from collections.abc import Sequence
from contextlib import ExitStack
from dataclasses import dataclass, replace
from pathlib import Path

import numpy as np
import numpy.typing as npt

from lc_trt.bench import networks
from lc_trt.bench.memory import soak
from lc_trt.bench.networks import Dense
from lc_trt.bench.operating_points import ALL_LEAVE, Rho, find_rho, rho_pair
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

BUSY = 0.1  # share of the CPU time that others may use without disturbing the figures


@dataclass(frozen=True)
class Options:
    """How to measure; None takes what the bundle says.

    Attributes:
        images: folder, image or video; None takes scikit-image's photographs.
        size, batch: (H, W) in pixels and images a pass; by default the published size (a
            dense bundle: its own) and the bundle's batch. The bundle is compiled again in memory
            where it differs.
        shares: target shares by row, ``LC`` and ``LC fast``. A row that is not there runs at
            the bundle's thresholds if its weights are trained, at the published shares if not.
        threads: CPU threads, None for all.
        device: GPU of a TensorRT bundle (`lc_trt.load`).
        baselines: also VGG16 and ResNet-101.
        all_runners: dense networks on every installed backend; the fastest is the reference.
        target_fps: what LC fast has to reach (in a dense bundle, the dense row); None asks
            the published fast speed of a cascade and nothing of a dense network.
        rounds, warmup: timed and untimed rounds.
        soak: passes to watch the memory over; 0 for none.
    """

    images: Path | None = None
    size: tuple[int, int] | None = None
    batch: int | None = None
    shares: dict[str, Shares] | None = None
    threads: int | None = None
    device: str | None = None
    baselines: bool = False
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
        command: what the report names as having made it.
        monitor: shows progress.

    Raises:
        LcTrtError: the bundle, the content or a backend cannot be used.
    """
    bundle = read_bundle(path)
    manifest = bundle.manifest
    packages = (manifest.tensorrt.package, "cuda") if manifest.tensorrt else ()
    environment = describe_environment(options.threads, *packages)
    if manifest.kind == "dense" and options.shares:
        raise UsageError(f"{path}: a dense network has no stages; leave --shares out")
    # The published speeds are at one size; a dense ONNX of somebody's own may run at no other
    # than its own.
    usual = published.SIZE if manifest.kind == "cascade" else manifest.size
    size, batch = options.size or usual, options.batch or manifest.batch
    check_shape(size, batch)
    device, gpu = networks.check_runs(bundle, options.device)
    frames = _batches(options, size, batch)
    source = load_onnx(bundle.file(SOURCE))  # the build imported it
    compiled_as = options_like(bundle, size, batch, device=device, gpu=gpu)
    contenders = networks.dense_networks(
        bundle, source, compiled_as, options.threads,
        baselines=options.baselines, all_runners=options.all_runners,
    )  # fmt: skip
    with ExitStack() as stack:
        with monitor.phase("compiling", len(contenders) + 1) as advance:
            lanes = []
            for contender in contenders:
                lanes.append(EngineLane(contender.row, contender.load(), frames))
                stack.callback(lanes[-1].engine.close)
                advance(1)
            if manifest.kind == "cascade":
                engine = networks.open_own(bundle, source, compiled_as, options.threads)
                stack.callback(engine.close)
            else:
                engine = lanes[-1].engine
            advance(1)
        splits: list[EngineLane] = []
        if engine.kind == "cascade":
            found = thresholds(manifest, engine, frames, options, monitor)
            rows, splits = _cascade_lanes(engine, frames, found)
            lanes += rows
        environment |= describe_gpu(engine.gpu)
        measure([lanes, splits], options.rounds, options.warmup, monitor=monitor)
        memory = None
        if options.soak:
            memory = soak(engine, frames, options.soak, seed=options.seed, monitor=monitor)
    macs = stage_macs(source, size) if splits else None
    made, reference = _rows(contenders, lanes, splits, macs, manifest.precision, batch)
    return Report(
        model=manifest.name,
        rows=made,
        reference=reference,
        size=size,
        batch=batch,
        rounds=options.rounds,
        content=describe(options.images),
        environment=environment,
        command=command,
        target=_target(made, options.target_fps),
        memory=memory,
        notes=[*bundle.notes, *_slower(made), *_disturbed(environment["busy_before"])],
    )


def thresholds(
    manifest: Manifest,
    engine: Engine,
    frames: Sequence[npt.NDArray[np.uint8]],
    options: Options,
    monitor: ProgressMonitor = SILENT,
) -> dict[str, list[Rho]]:
    """By row, ``LC`` and ``LC fast``, the thresholds of each frame."""
    own = {"LC": manifest.default_rho, "LC fast": manifest.fast_rho}
    asked = options.shares or {}
    targets: dict[str, list[Shares]] = {}
    found: dict[str, list[Rho]] = {}
    for row, point in published.POINTS.items():
        rho = own[row]
        if row not in asked and manifest.trained is not None and rho is not None:
            found[row] = [rho_pair(*rho)] * len(frames)
        else:
            targets[row] = jittered(asked.get(row, point.shares), len(frames), options.seed)
            found[row] = []
    if targets:
        for i, frame in enumerate(monitor.track("finding thresholds", frames)):
            wanted = [shares[i] for shares in targets.values()]
            for row, rho_found in zip(targets, find_rho(engine, frame, wanted), strict=True):
                found[row].append(rho_found)
    return found


def _batches(options: Options, size: tuple[int, int], batch: int) -> list[npt.NDArray[np.uint8]]:
    """One different batch, uint8 [N, H, W, 3], a round."""
    count = options.rounds + options.warmup
    frames = load_frames(options.images, count * batch, size, options.seed)
    return [np.stack(frames[i * batch : (i + 1) * batch]) for i in range(count)]


def _cascade_lanes(
    engine: Engine, frames: Sequence[npt.NDArray[np.uint8]], found: dict[str, list[Rho]]
) -> tuple[list[EngineLane], list[EngineLane]]:
    """One lane per row, and those cut short that show the time per stage.

    The latter are stage 1 alone, then stages 1 and 2 of each row.
    """
    rows = [EngineLane(row, engine, frames, rho) for row, rho in found.items()]
    first = [rho_pair(ALL_LEAVE, ALL_LEAVE)] * len(frames)
    splits = [EngineLane("stage 1", engine, frames, first)]
    for row, rho in found.items():
        cut = [rho_pair(float(r[0]), ALL_LEAVE) for r in rho]
        splits.append(EngineLane(f"{row}, stages 1 and 2", engine, frames, cut))
    return rows, splits


def _rows(
    dense: Sequence[Dense],
    lanes: Sequence[EngineLane],
    splits: Sequence[EngineLane],
    macs: StageMacs | None,
    precision: str,
    batch: int,
) -> tuple[list[Row], Row]:
    """All rows, and the one among them that speed-ups are over."""
    own = [i for i, network in enumerate(dense) if network.own]  # a baseline is no reference
    # By the paired ratio, as speed-ups are: on a noisy machine medians alone may rank otherwise.
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
                # Operations are linear in the shares: those of the mean are the mean ones.
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
    """Where the cascade does not pay."""
    return [
        f"{row.name} is slower than the dense network in {row.precision}: {row.speedup:.2f}x"
        for row in rows
        if row.shares is not None and row.speedup < 1
    ]


def _disturbed(busy: float | None) -> list[str]:
    if busy is None or busy < BUSY:
        return []
    return [f"others used {busy:.0%} of the CPU when the bench began: its figures suffer"]
