"""``lc-trt compare``."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

import typer

from lc_trt.cli import console
from lc_trt.cli.option_groups.compose import takes_groups
from lc_trt.cli.option_groups.data import Images
from lc_trt.cli.option_groups.hardware import Hardware
from lc_trt.cli.option_groups.model import FreeSize, PlainOnnx
from lc_trt.cli.option_groups.output import Output
from lc_trt.cli.option_groups.thresholds import RhoOrFast


@takes_groups
def compare(
    a: Annotated[Path, typer.Argument(metavar="A", help="An ONNX or a bundle (NAME.lct).")],
    b: Annotated[Path, typer.Argument(metavar="B", help="Another one.")],
    photographs: Images,
    thresholds: RhoOrFast,
    size: FreeSize,
    plain: PlainOnnx,
    hardware: Hardware,
    output: Output,
    save: Annotated[Path, typer.Option(metavar="FILE", help="Picture of the worst image.")] = Path(
        "worst.png"
    ),
    min_agreement: Annotated[
        float,
        typer.Option(
            metavar="PERCENT", help="Exit with 1 below this agreement in labels or stages."
        ),
    ] = 0.0,
) -> None:
    """Compare labels, stages and probabilities of two models.

    Thresholds are A's own unless given. The options of a plain ONNX apply to A and B alike.

    Example:
      lc-trt compare fp32.lct int8.lct --images photos/ --save worst.png
      lc-trt compare foreign.onnx foreign.lct --images photos/ --bgr --size 512x512
    """
    from lc_trt.evaluation.compare import Options, compare_models

    options = Options(
        rho=thresholds.rho_or_fast(),
        limit=photographs.limit,
        imports=plain.import_options(size.pixels()),
        threads=hardware.threads,
        device=hardware.device_name(),
        picture=save,
    )
    comparison = compare_models(a, b, photographs.images, options, monitor=console.BarMonitor())
    table = console.table(("what", "value"), list(comparison.rows()))
    output.print(comparison.as_dict(), table)
    console.note(f"wrote {save}: {comparison.worst}, the image they agree on least")
    labels, stages = comparison.labels, comparison.stages
    if min(labels, stages) * 100 < min_agreement:
        console.error(
            f"{a} and {b} agree on {labels:.2%} of the labels and {stages:.2%} of the stages, "
            f"expected {min_agreement:g} % of both"
        )
        raise typer.Exit(1)
