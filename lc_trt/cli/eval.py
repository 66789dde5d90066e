"""`lc-trt eval`."""

from __future__ import annotations

import json
import shlex
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from lc_trt.cli import console
from lc_trt.cli import option_values as options

if TYPE_CHECKING:
    from lc_trt.evaluation.runner import Outcome
    from lc_trt.evaluation.tables import Table


def eval(
    model: Annotated[
        Path, typer.Argument(help="A checkpoint (.safetensors), an ONNX or a bundle (NAME.lct).")
    ],
    data: Annotated[Path, typer.Option(metavar="ROOT", help="The data set's folder.")],
    layout: Annotated[str, typer.Option(help="folder, voc or cityscapes.")] = "folder",
    split: Annotated[str, typer.Option(help="Which part of the data.")] = "val",
    limit: Annotated[
        int | None,
        typer.Option(metavar="N", min=1, help="N images, evenly spread.", show_default="all"),
    ] = None,
    rho: Annotated[
        str | None,
        typer.Option(
            metavar="R1[,R2]", help="Thresholds, or fast.", show_default="the model's own"
        ),
    ] = None,
    rho_sweep: Annotated[
        bool, typer.Option("--rho-sweep", help="Also at the paper's eight thresholds.")
    ] = False,
    grid: Annotated[
        bool, typer.Option("--grid", help="Also at all pairs of those thresholds.")
    ] = False,
    report: Annotated[
        Path | None, typer.Option(metavar="DIR", help="Write a page with figures there.")
    ] = None,
    size: Annotated[
        str | None,
        typer.Option(metavar="HxW", help="Of a checkpoint.", show_default="300x500"),
    ] = None,
    threads: Annotated[
        int | None, typer.Option(min=1, help="CPU threads.", show_default="all")
    ] = None,
    device: options.Device = None,
    as_json: Annotated[bool, typer.Option("--json", help="Print JSON.")] = False,
) -> None:
    """Measure the accuracy of a model on labelled images.

    Labels are compared at their full resolution; value 255 counts nowhere. A checkpoint and an
    ONNX are measured as a bundle is.

    Example:
      lc-trt eval model.lct --data camvid --rho fast
      lc-trt eval best.safetensors --data camvid --rho-sweep --report report/
    """
    from lc_trt.bundle.thresholds import parse_rho
    from lc_trt.evaluation.runner import Options, measure
    from lc_trt.evaluation.sweep import ENOUGH

    asked = Options(
        layout=layout,
        split=split,
        limit=limit,
        rho=None if rho is None else parse_rho(rho),
        sweep=rho_sweep,
        grid=grid,
        size=options.size("--size", size) if size else None,
        threads=threads,
        device=options.device(device),
        report=report,
    )
    command = ["lc-trt", "eval", _shown(model), "--data", _shown(data)]
    for flag, value in {
        "--layout": None if layout == Options.layout else layout,
        "--split": None if split == Options.split else split,
        "--limit": limit,
        "--rho": rho,
        "--size": size,
        "--threads": threads,
        "--device": device,
        "--report": report and _shown(report),
    }.items():
        command += [] if value is None else [flag, str(value)]
    command += ["--rho-sweep"] * rho_sweep + ["--grid"] * grid
    outcome = measure(model, data, asked, command=shlex.join(command), progress=console.progress)
    if as_json:
        typer.echo(json.dumps(outcome.as_dict(), indent=2))
    else:
        _print(outcome)
    images = outcome.evaluation.images
    if outcome.points and images < ENOUGH:
        console.warn(f"{images} images are too few to compare times by, take {ENOUGH} or more")
    if report is not None:
        console.note(f"wrote {report / 'index.html'}")


def _shown(path: Path) -> str:
    # What stands in a file that is shared names no folder of this machine.
    return path.name if path.is_absolute() else str(path)


def _print(outcome: Outcome) -> None:
    from lc_trt.evaluation import tables

    found = outcome.evaluation
    _table(tables.accuracy(found))
    if found.stages is not None:
        _table(tables.left_by_class(found), "Where each class leaves")
        _table(tables.near_boundary(found), "Difficulty on boundaries")
    if outcome.points:
        _table(tables.thresholds(outcome.points), "One threshold at both boundaries")
    if outcome.grid:
        _table(tables.grid(outcome.points), "Two thresholds: mIoU % / ms an image")
        _table(tables.front(outcome.points), "Pairs that none beats in both")
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
