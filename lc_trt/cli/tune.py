"""`lc-trt tune`."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from lc_trt.cli import console
from lc_trt.cli.option_groups.compose import takes_groups
from lc_trt.cli.option_groups.data import Images
from lc_trt.cli.option_groups.hardware import Hardware
from lc_trt.cli.option_groups.output import Output
from lc_trt.cli.option_groups.thresholds import Rho

if TYPE_CHECKING:
    from rich.table import Table

    from lc_trt.bundle.pareto_front import Front
    from lc_trt.evaluation.pareto_search import Tuned


@dataclass(frozen=True, kw_only=True)
class _Images(Images):
    limit: Annotated[int, typer.Option(metavar="N", min=1, help="N images, evenly spread.")] = 16
    labels: Annotated[
        Path | None,
        typer.Option(
            metavar="DIR",
            help="Label maps, NAME.png for each image: quality is then mIoU. Default: quality is "
            "the share of labels equal to those of rho 1, where no pixel leaves early.",
        ),
    ] = None


@dataclass(frozen=True)
class _Highest(Rho):
    rho: Annotated[
        str | None,
        typer.Option(
            metavar="R1[,R2]",
            help="Measure from the fast thresholds up to these.",
            show_default="the bundle's default ones",
        ),
    ] = None


@takes_groups
def tune(
    model: Annotated[Path, typer.Argument(help="Bundle of a cascade, of lc-trt build.")],
    photographs: _Images,
    highest: _Highest,
    hardware: Hardware,
    output: Output,
    grid: Annotated[
        int,
        typer.Option(metavar="N", min=2, max=20, help="N thresholds per boundary: N x N pairs."),
    ] = 7,
    plot: Annotated[
        Path | None, typer.Option(metavar="FILE", help="Write a figure of the front (PNG).")
    ] = None,
) -> None:
    """Find the thresholds with which to hold a frame rate.

    Every pair of a grid of thresholds is measured: pixels leaving at each stage, time, and
    quality. The Pareto front of time and quality is stored in the bundle, and a governor then
    moves along it to hold a frame rate. The network runs about
    (limit + 1) * (grid * grid + 3) times.

    Example:
      lc-trt tune model.lct --images photos/
      lc-trt tune model.lct --images val/images --labels val/labels --plot front.png
      lc-trt run model.lct --source traffic.mp4 --save out.mp4 --target-fps 23.6
    """
    from lc_trt.evaluation import pareto_search as tuning

    if plot is not None:
        from lc_trt.evaluation import tune_figure  # matplotlib, before a minute is spent

        tune_figure.check(plot)
    options = tuning.Options(
        labels=photographs.labels,
        limit=photographs.limit,
        grid=grid,
        top=highest.pair(),
        threads=hardware.threads,
        device=hardware.device_name(),
    )
    tuned = tuning.tune(model, photographs.images, options, monitor=console.BarMonitor())
    if plot is not None:
        tune_figure.write(plot, tuned)
    output.print(tuned.as_dict(), _table(tuned.front), _sentence(model, tuned))
    if tuned.uneven > tuning.UNEVEN:
        console.warn(
            f"times lay {tuned.uneven:.0%} off the line through them, as with other work on the "
            "machine; tune again when it is idle"
        )
    if plot is not None:
        console.note(f"wrote {plot}")


def _table(front: Front) -> Table:
    rows = [
        (
            *(f"{rho:g}" for rho in point.rho),
            *(f"{100 * share:.1f}" for share in point.shares),
            f"{100 * point.quality:.2f}",
            f"{point.ms:.1f}",
        )
        for point in front.points
    ]
    columns = ("rho 1", "rho 2", "stage 1 %", "stage 2 %", "stage 3 %", "quality %", "ms")
    return console.table(columns, rows, "Pareto front of time and quality")


def _sentence(model: Path, tuned: Tuned) -> str:
    front = tuned.front
    least, most = front.points[0], front.points[-1]
    return (
        f"{model}: {len(front.points)} of {len(tuned.points)} pairs stored, {least.ms:.1f} to "
        f"{most.ms:.1f} ms ({1e3 / most.ms:.1f} to {1e3 / least.ms:.1f} fps); quality is "
        f"{front.measure}, over {front.images} images of {front.origin}"
    )
