"""Evaluates a model: opens it and the data, measures, and writes the report."""

from __future__ import annotations

from dataclasses import dataclass, field
from pathlib import Path

from lc_trt.bundle.thresholds import Rho, resolve_rho
from lc_trt.compiler.frontend.import_model import ImportOptions
from lc_trt.data.images import spread
from lc_trt.errors import UsageError
from lc_trt.evaluation import pictures, report
from lc_trt.evaluation.data import class_set, open_samples
from lc_trt.evaluation.evaluate import evaluate
from lc_trt.evaluation.open_model import open_model
from lc_trt.evaluation.outcome import Outcome
from lc_trt.evaluation.sweep import Point, pairs, sweep
from lc_trt.utils.environment import describe_environment
from lc_trt.utils.progress import SILENT, ProgressMonitor

PICTURES = 4  # images drawn in a report


@dataclass(frozen=True)
class Options:
    """Options of an evaluation.

    Attributes:
        layout: of the data set, as of `lc_trt.data.datasets.open_dataset`.
        split: of the data set.
        limit: number of images, evenly spaced over the split; None for all.
        rho: thresholds, as of `lc_trt.Segmenter`; None for the model's default.
        sweep: also evaluate the published thresholds.
        grid: also evaluate all pairs of the published thresholds.
        imports: how to read a plain ONNX; its size also applies to a checkpoint.
        threads: CPU threads; None for all.
        device: of a bundle, as of `lc_trt.load`.
        report: folder of the report; None for none.
    """

    layout: str = "folder"
    split: str = "val"
    limit: int | None = None
    rho: Rho | None = None
    sweep: bool = False
    grid: bool = False
    imports: ImportOptions = field(default_factory=ImportOptions)
    threads: int | None = None
    device: str | None = None
    report: Path | None = None


def measure(
    model: Path,
    data: Path,
    options: Options,
    *,
    command: str = "",
    monitor: ProgressMonitor = SILENT,
) -> Outcome:
    """Evaluate a checkpoint, an ONNX or a bundle on labelled images.

    Args:
        model: as of `lc_trt.evaluation.open_model`.
        data: the data set's folder.
        options: of the evaluation.
        command: the command line, for the report.
        monitor: shows progress.

    Returns:
        All metrics.

    Raises:
        LcTrtError: unusable model or data, or the report cannot be written.
        UsageError: options that do not fit the model.
    """
    if options.report is not None:
        report.check(options.report)
    with open_model(
        model, options.imports, threads=options.threads, device=options.device
    ) as segmenter:
        manifest = segmenter.manifest
        if manifest.kind == "dense" and (options.sweep or options.grid):
            raise UsageError(
                f"{model}: a dense network has no thresholds; omit --rho-sweep and --grid"
            )
        rho = resolve_rho(options.rho, manifest.default_rho, manifest.fast_rho)
        classes = class_set(manifest.classes, manifest.colours)
        samples = open_samples(options.layout, data, options.split, classes, options.limit)
        tracked = monitor.track("evaluating", samples)
        evaluation = evaluate(segmenter, tracked, classes.names, rho)
        points: list[Point] = []
        if options.sweep or options.grid:
            points = sweep(segmenter, samples, pairs(options.grid), monitor=monitor)
        outcome = Outcome(
            model=manifest.name,
            classes=classes,
            backend=f"{manifest.backend} {manifest.backend_version}",
            size=manifest.size,
            rho=rho,
            data=f"{data.resolve().name} {options.split}",
            evaluation=evaluation,
            points=points,
            grid=options.grid,
            environment=describe_environment(options.threads),
            command=command,
        )
        if options.report is not None:
            drawn = []
            for i in monitor.track("drawing", spread(len(samples), PICTURES)):
                sample = samples[i]
                drawn.append(pictures.picture(sample, segmenter(sample.image, rho)))
            report.write(options.report, outcome, drawn)
    return outcome
