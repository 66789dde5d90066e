"""`lc-trt eval`."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from lc_trt.cli import console
from lc_trt.cli.command_line import command_line
from lc_trt.cli.eval_exits import compare_exits
from lc_trt.cli.option_groups.compose import takes_groups
from lc_trt.cli.option_groups.data import LabelledData
from lc_trt.cli.option_groups.hardware import Hardware
from lc_trt.cli.option_groups.model import FreeSize, PlainOnnx
from lc_trt.cli.option_groups.output import Output
from lc_trt.cli.option_groups.thresholds import RhoOrFast
from lc_trt.errors import UsageError

if TYPE_CHECKING:
    from rich.table import Table

    from lc_trt.evaluation.outcome import Outcome


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
    output: Output,
    rho_sweep: Annotated[
        bool, typer.Option("--rho-sweep", help="Also at the paper's eight thresholds.")
    ] = False,
    grid: Annotated[
        bool, typer.Option("--grid", help="Also at all pairs of those thresholds.")
    ] = False,
    report: Annotated[
        Path | None, typer.Option(metavar="DIR", help="Write a page with figures there.")
    ] = None,
    exits: Annotated[
        bool,
        typer.Option("--exits", help="Compare the exit rules of a checkpoint instead."),
    ] = False,
    plot: Annotated[
        Path | None,
        typer.Option(metavar="FILE", help="With --exits: draw the curves there (PNG)."),
    ] = None,
) -> None:
    """Measure the accuracy of a model on labelled images.

    Labels are compared at their full resolution; label 255 is ignored. A checkpoint and an
    ONNX are measured as a bundle is; a plain ONNX takes the options that lc-trt build takes.

    With --exits, each image runs once through all stages, and every exit rule that the checkpoint
    has is swept over all thresholds: cells passed on, labels changed, and mIoU lost, beside an
    oracle that knows the whole network's labels.

    Example:
      lc-trt eval model.lct --data camvid --rho fast
      lc-trt eval best.safetensors --data camvid --rho-sweep --report report/
      lc-trt eval foreign.onnx --data camvid --classes camvid --bgr --mean 104,117,123 --std 1,1,1
      lc-trt eval best.safetensors --data camvid --size 360x480 --exits --plot exits.png
    """
    if exits:
        others = {
            "--rho": thresholds.rho is not None,
            "--rho-sweep": rho_sweep,
            "--grid": grid,
            "--report": report is not None,
            "--device": hardware.device is not None,
        }
        compare_exits(model, labelled, size, plain, hardware, output, others, plot)
        return
    if plot is not None:
        raise UsageError(f"--plot {plot}: draws exit rules; add --exits, or use --report DIR")
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
    output.print(outcome.as_dict(), *_tables(outcome), _sentence(outcome))
    images = outcome.evaluation.images
    if outcome.points and images < ENOUGH:
        console.warn(f"{images} images are too few to compare times; use at least {ENOUGH}")
    if report is not None:
        console.note(f"wrote {report / 'index.html'}")


def _tables(outcome: Outcome) -> Iterator[Table]:
    from lc_trt.evaluation import tables

    def titled(table: tables.Table, title: str | None = None) -> Table:
        return console.table(table.columns, table.rows, title)

    evaluation = outcome.evaluation
    yield titled(tables.accuracy(evaluation))
    if evaluation.stages is not None:
        yield titled(tables.left_by_class(evaluation), "Exit shares per class")
        yield titled(tables.near_boundary(evaluation), "Difficulty at boundaries")
    if outcome.points:
        yield titled(tables.thresholds(outcome.points), "One threshold at both boundaries")
    if outcome.grid:
        yield titled(tables.grid(outcome.points), "Two thresholds: mIoU % / ms per image")
        yield titled(tables.front(outcome.points), "Pareto front of time and mIoU")


def _sentence(outcome: Outcome) -> str:
    evaluation = outcome.evaluation
    sentence = (
        f"{outcome.model} on {outcome.data}: mIoU {100 * evaluation.miou:.2f} %, pixel accuracy "
        f"{100 * evaluation.pixel_accuracy:.2f} %, {evaluation.images} images, "
        f"{evaluation.ms_per_image:.1f} ms each"
    )
    if evaluation.shares is not None:
        left = "/".join(f"{100 * share:.0f}" for share in evaluation.shares)
        sentence += f", {left} % left at stages 1/2/3"
    return sentence
