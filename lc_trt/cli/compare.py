"""``lc-trt compare``."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Annotated

import typer

from lc_trt.cli import console
from lc_trt.cli import option_values as options


def compare(
    a: Annotated[Path, typer.Argument(metavar="A", help="An ONNX or a bundle (NAME.lct).")],
    b: Annotated[Path, typer.Argument(metavar="B", help="Another one.")],
    images: Annotated[Path, typer.Option(metavar="DIR", help="Images to run both on.")],
    rho: Annotated[
        str | None,
        typer.Option(metavar="R1[,R2]", help="Thresholds, or fast.", show_default="A's own"),
    ] = None,
    limit: Annotated[
        int | None,
        typer.Option(metavar="N", min=1, help="N images, evenly spread.", show_default="all"),
    ] = None,
    save: Annotated[Path, typer.Option(metavar="FILE", help="Picture of the worst image.")] = Path(
        "worst.png"
    ),
    min_agreement: Annotated[
        float,
        typer.Option(metavar="PERCENT", help="Exit with 1 under so many equal labels or stages."),
    ] = 0.0,
    threads: Annotated[
        int | None, typer.Option(min=1, help="CPU threads.", show_default="all")
    ] = None,
    device: options.Device = None,
    as_json: Annotated[bool, typer.Option("--json", help="Print JSON.")] = False,
) -> None:
    """Compare labels, stages and probabilities of two models.

    Example:
      lc-trt compare fp32.lct int8.lct --images photos/ --save worst.png
    """
    from lc_trt.bundle.thresholds import parse_rho
    from lc_trt.evaluation.compare import Options, compare_models

    asked = Options(
        rho=None if rho is None else parse_rho(rho),
        limit=limit,
        threads=threads,
        device=options.device(device),
        picture=save,
    )
    found = compare_models(a, b, images, asked, progress=console.progress, warn=console.warn)
    if as_json:
        typer.echo(json.dumps(found.as_dict(), indent=2))
    else:
        rows = [(name, value) for name, value in found.rows()]
        console.out().print(console.table(("what", "value"), rows))
    console.note(f"wrote {save}: {found.worst}, the image they agree on least")
    if min(found.labels, found.stages) * 100 < min_agreement:
        console.error(
            f"{a} and {b} agree on {found.labels:.2%} of the labels and {found.stages:.2%} of the "
            f"stages, expected {min_agreement:g} % of both"
        )
        raise typer.Exit(1)
