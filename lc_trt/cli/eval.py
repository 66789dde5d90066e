"""`lc-trt eval`."""

from __future__ import annotations

import json
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from lc_trt.cli import console
from lc_trt.cli.command_line import command_line
from lc_trt.cli.option_groups.compose import takes_groups
from lc_trt.cli.option_groups.data import LabelledData
from lc_trt.cli.option_groups.hardware import Hardware
from lc_trt.cli.option_groups.model import FreeSize, PlainOnnx
from lc_trt.cli.option_groups.output import Json
from lc_trt.cli.option_groups.thresholds import RhoOrFast

if TYPE_CHECKING:
    from lc_trt.evaluation.outcome import Outcome
    from lc_trt.evaluation.tables import Table


@takes_groups
def eval(
    model: Annotated[
        Path, typer.Argument(help="A checkpoint (.safetensors), an ONNX or a bundle (NAME.lct).")
    ],
    labelled: LabelledData,
    thresholds: RhoOrFast,
    size: FreeSize,
    plain: PlainOnnx,
    hardware: Hardware,
    rho_sweep: Annotated[
        bool, typer.Option("--rho-sweep", help="Also at the paper's eight thresholds.")
    ] = False,
    grid: Annotated[
        bool, typer.Option("--grid", help="Also at all pairs of those thresholds.")
    ] = False,
    report: Annotated[
        Path | None, typer.Option(metavar="DIR", help="Write a page with figures there.")
    ] = None,
    as_json: Json = False,
) -> None:
    """Measure the accuracy of a model on labelled images.

    Labels are compared at their full resolution; label 255 is ignored. A checkpoint and an
    ONNX are measured as a bundle is; a plain ONNX takes the options that lc-trt build takes.

    Example:
      lc-trt eval model.lct --data camvid --rho fast
      lc-trt eval best.safetensors --data camvid --rho-sweep --report report/
      lc-trt eval foreign.onnx --data camvid --classes camvid --bgr --mean 104,117,123 --std 1,1,1
    """
    from lc_trt.evaluation.runner import Options, measure
    from lc_trt.evaluation.sweep import ENOUGH

    options = Options(
        layout=labelled.layout,
        split=labelled.split,
        limit=labelled.limit,
        rho=thresholds.rho_or_fast(),
        sweep=rho_sweep,
        grid=grid,
        imports=plain.import_options(size.pixels()),
        threads=hardware.threads,
        device=hardware.device_name(),
        report=report,
    )
    outcome = measure(
        model,
        labelled.data,
        options,
        command=command_line("lc-trt", console.settings.arguments),
        monitor=console.BarMonitor(),
    )
    if as_json:
        typer.echo(json.dumps(outcome.as_dict(), indent=2))
    else:
        _print(outcome)
    images = outcome.evaluation.images
    if outcome.points and images < ENOUGH:
        console.warn(f"{images} images are too few to compare times; use at least {ENOUGH}")
    if report is not None:
        console.note(f"wrote {report / 'index.html'}")


def _print(outcome: Outcome) -> None:
    from lc_trt.evaluation import tables

    found = outcome.evaluation
    _table(tables.accuracy(found))
    if found.stages is not None:
        _table(tables.left_by_class(found), "Exit shares per class")
        _table(tables.near_boundary(found), "Difficulty at boundaries")
    if outcome.points:
        _table(tables.thresholds(outcome.points), "One threshold at both boundaries")
    if outcome.grid:
        _table(tables.grid(outcome.points), "Two thresholds: mIoU % / ms per image")
        _table(tables.front(outcome.points), "Pareto front of time and mIoU")
    line = (
        f"{outcome.model} on {outcome.data}: mIoU {100 * found.miou:.2f} %, pixel accuracy "
        f"{100 * found.pixel_accuracy:.2f} %, {found.images} images, "
        f"{found.ms_per_image:.1f} ms each"
    )
    if found.shares is not None:
        left = "/".join(f"{100 * share:.0f}" for share in found.shares)
        line += f", {left} % left at stages 1/2/3"
    console.out().print(line, markup=False, highlight=False, soft_wrap=True)


def _table(made: Table, title: str | None = None) -> None:
    console.out().print(console.table(made.columns, made.rows, title))
