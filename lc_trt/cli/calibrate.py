"""``lc-trt calibrate``."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

import typer

from lc_trt.cli import console
from lc_trt.cli import option_values as options


def calibrate(
    model: Annotated[Path, typer.Argument(help="Cascade ONNX, or a plain segmentation ONNX.")],
    images: Annotated[
        Path, typer.Option(metavar="DIR", help="Images like those it will see; 100 or more.")
    ],
    out: Annotated[Path, typer.Option("--out", "-o", help="The table.")] = Path("table.json"),
    method: Annotated[str, typer.Option(help="mse, entropy, percentile or minmax.")] = "mse",
    percentile: Annotated[
        float, typer.Option(help="What --method percentile covers, in percent.")
    ] = 99.99,
    limit: Annotated[
        int | None,
        typer.Option(metavar="N", min=1, help="N images, evenly spread.", show_default="all"),
    ] = None,
    size: Annotated[
        str | None, typer.Option(metavar="HxW", help="Pixels.", show_default="the model's own")
    ] = None,
    rho: Annotated[
        str | None,
        typer.Option(
            metavar="R1[,R2]", help="Thresholds of the regions.", show_default="the model's own"
        ),
    ] = None,
    mean: Annotated[
        str | None, typer.Option(metavar="A,B,C", help="Plain ONNX: as for lc-trt build.")
    ] = None,
    std: Annotated[
        str | None, typer.Option(metavar="A,B,C", help="Plain ONNX: as for lc-trt build.")
    ] = None,
    bgr: Annotated[bool, typer.Option("--bgr", help="Plain ONNX: takes BGR, not RGB.")] = False,
    threads: Annotated[
        int | None, typer.Option(min=1, help="CPU threads.", show_default="all")
    ] = None,
    as_json: Annotated[bool, typer.Option("--json", help="Print a summary as JSON.")] = False,
) -> None:
    """Find the ranges of a network's activations, for INT8.

    The images go through the network in FP32 one by one; what was seen so far stands beside the
    table until that is written, so the same command given again goes on where a stopped one ended.

    Example:
      lc-trt calibrate model.onnx --images photos/ -o table.json
      lc-trt build model.onnx --int8 --calib table.json
    """
    import json

    from lc_trt.data.images import list_images
    from lc_trt.quantization.calibrate import Settings
    from lc_trt.quantization.calibrate_file import calibrate_file

    settings = Settings(
        method=method,
        percentile=percentile,
        size=options.size("--size", size) if size else None,
        rho=options.thresholds("--rho", rho) if rho else None,
        threads=threads,
    )
    chosen = list_images(images).some(limit)
    with console.progress("calibrating", len(chosen)) as advance:
        table = calibrate_file(
            model,
            chosen,
            out,
            settings,
            normalisation=options.normalisation(mean, std, bgr),
            advance=advance,
            warn=console.warn,
        )
    if as_json:
        typer.echo(json.dumps(table.summary(), indent=2))
        return
    skipped = f", {len(table.skipped)} skipped" if table.skipped else ""
    console.out().print(
        f"{out}: {len(table.tensors)} tensors of {table.model}, {table.method}, "
        f"{table.images} images{skipped}",
        highlight=False,
        markup=False,
        soft_wrap=True,
    )
