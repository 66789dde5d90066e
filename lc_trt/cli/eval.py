"""`lc-trt eval`."""

from __future__ import annotations

import json
import math
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from lc_trt.cli import console

if TYPE_CHECKING:
    from lc_trt.evaluation.evaluate import Evaluation


def eval(
    bundle: Annotated[Path, typer.Argument(help="The built engine, NAME.lct.")],
    data: Annotated[Path, typer.Option(metavar="ROOT", help="Folder with SPLIT/{images,labels}.")],
    split: Annotated[str, typer.Option(help="Which part of the data.")] = "val",
    rho: Annotated[
        str | None,
        typer.Option(
            metavar="R1[,R2]", help="Thresholds, or fast.", show_default="the bundle's own"
        ),
    ] = None,
    threads: Annotated[
        int | None, typer.Option(min=1, help="CPU threads.", show_default="all")
    ] = None,
    as_json: Annotated[bool, typer.Option("--json", help="Print JSON.")] = False,
) -> None:
    """Measure the accuracy of a built engine on labelled images.

    Labels are compared at their full resolution; value 255 counts nowhere.

    Example:
        lc-trt eval model.lct --data camvid --rho fast
    """
    import lc_trt
    from lc_trt.evaluation.evaluate import evaluate
    from lc_trt.thresholds import parse_rho
    from lc_trt.training.data import FolderDataset

    thresholds = None if rho is None else parse_rho(rho)
    with lc_trt.load(bundle, threads=threads) as segmenter:
        classes = segmenter.manifest.classes
        dataset = FolderDataset(data, split, len(classes))
        with console.progress("evaluating", len(dataset)) as advance:
            found = evaluate(segmenter, dataset, classes, thresholds, advance=advance)
    if as_json:
        typer.echo(json.dumps(found.as_dict(), indent=2))
    else:
        _print(found)


def _print(found: Evaluation) -> None:
    out = console.out()
    rows = [
        (name, "absent" if math.isnan(value) else f"{100 * value:.1f}")
        for name, value in zip(found.classes, found.iou, strict=True)
    ]
    out.print(console.table(("class", "IoU %"), rows))
    line = (
        f"mIoU {100 * found.miou:.2f} %, pixel accuracy {100 * found.pixel_accuracy:.2f} %, "
        f"{found.images} images, {found.ms_per_image:.1f} ms each"
    )
    if found.shares is not None:
        left = "/".join(f"{100 * share:.0f}" for share in found.shares)
        line += f", {left} % left at stages 1/2/3"
    out.print(line, markup=False, highlight=False, soft_wrap=True)
