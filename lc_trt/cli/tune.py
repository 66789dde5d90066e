"""`lc-trt tune`."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from lc_trt.cli import console
from lc_trt.cli.option_groups.compose import takes_groups
from lc_trt.cli.option_groups.data import Images
from lc_trt.cli.option_groups.exit_limit import ExitLimit
from lc_trt.cli.option_groups.hardware import Hardware
from lc_trt.cli.option_groups.output import Output
from lc_trt.cli.option_groups.thresholds import Rho

if TYPE_CHECKING:
    from rich.table import Table

    from lc_trt.bundle.pareto_front import Front, FrontPoint
    from lc_trt.evaluation.exit_bound import BoundedExits, Candidate
    from lc_trt.evaluation.pareto_search import Tuned
    from lc_trt.evaluation.risk_control import RiskControl


@dataclass(frozen=True, kw_only=True)
class _Images(Images):
    images: Annotated[
        Path,
        typer.Option(
            metavar="DIR", help="Images like those that the model will see, or videos of them."
        ),
    ]
    limit: Annotated[
        int | None,
        typer.Option(
            metavar="N",
            min=1,
            help="N images, evenly spread, over all videos alike.",
            show_default="16, or 1000 with a bound",
        ),
    ] = None
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
    exits: ExitLimit,
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
    """Find thresholds for a frame rate, or with a bound on changes.

    Every pair of a grid of thresholds is measured: pixels leaving at each stage, time, and
    quality. The Pareto front of time and quality is stored in the bundle, and a governor then
    moves along it to hold a frame rate. The network runs about
    (limit + 1) * (grid * grid + 3) times.

    With --max-changed or --max-drop, the bundle's default thresholds are chosen instead: the grid
    is measured on at most 32 of the images, and at most 14 candidates on the others. The bound is
    stored in the bundle.

    Example:
      lc-trt tune model.lct --images photos/
      lc-trt tune model.lct --images val/images --labels val/labels --plot front.png
      lc-trt run model.lct --source traffic.mp4 --save out.mp4 --target-fps 23.6
      lc-trt tune model.lct --images photos/ --max-changed 1 --confidence 0.95
    """
    control = exits.control(
        labelled=photographs.labels is not None,
        rho=highest.rho is not None,
        plot=plot is not None,
    )
    if control is not None:
        _tune_default(model, photographs, hardware, output, grid, control)
    else:
        _tune_front(model, photographs, highest, hardware, output, grid, plot)


def _tune_front(
    model: Path,
    photographs: _Images,
    highest: _Highest,
    hardware: Hardware,
    output: Output,
    grid: int,
    plot: Path | None,
) -> None:
    from lc_trt.evaluation import pareto_search as tuning

    if plot is not None:
        from lc_trt.evaluation import figures, tune_figure  # matplotlib, before a minute is spent

        figures.check_plot(plot)
    options = tuning.Options(
        labels=photographs.labels,
        limit=photographs.limit or tuning.LIMIT,
        grid=grid,
        top=highest.pair(),
        threads=hardware.threads,
        device=hardware.device_name(),
    )
    tuned = tuning.tune(model, photographs.images, options, monitor=console.BarMonitor())
    if plot is not None:
        tune_figure.write(plot, tuned)
    output.print(tuned.as_dict(), _table(tuned.front), _sentence(model, tuned))
    _warn_uneven(tuned.uneven)
    if plot is not None:
        console.note(f"wrote {plot}")


def _tune_default(
    model: Path,
    photographs: _Images,
    hardware: Hardware,
    output: Output,
    grid: int,
    control: RiskControl,
) -> None:
    from lc_trt.evaluation import exit_bound

    options = exit_bound.Options(
        control,
        labels=photographs.labels,
        limit=photographs.limit or exit_bound.LIMIT,
        grid=grid,
        threads=hardware.threads,
        device=hardware.device_name(),
    )
    found = exit_bound.bound_exits(model, photographs.images, options, monitor=console.BarMonitor())
    output.print(found.as_dict(), _candidates(found), _promise(model, found))
    _warn_uneven(found.uneven)


def _warn_uneven(uneven: float) -> None:
    from lc_trt.evaluation.pareto_search import UNEVEN

    if uneven > UNEVEN:
        console.warn(
            f"times lay {uneven:.0%} off the line through them, as with other work on the "
            "machine; tune again when it is idle"
        )


def _candidates(found: BoundedExits) -> Table:
    rows = [
        (
            "default" if candidate.rho == found.bound.rho else "",
            *_operating_point(candidate),
            f"{100 * candidate.loss:.3f}",
            f"{candidate.value:.4f}",
            f"{candidate.ms:.1f}",
        )
        for candidate in found.candidates
    ]
    columns = (
        "", "rho 1", "rho 2", "stage 1 %", "stage 2 %", "stage 3 %", f"{found.bound.measure} %",
        f"statistic (to {found.level:.4g})", "ms",
    )  # fmt: skip
    return console.table(columns, rows, "Candidates, cheapest first")


def _promise(model: Path, found: BoundedExits) -> str:
    before, after = (f"{rho[0]:g},{rho[1]:g}" for rho in (found.before, found.bound.rho))
    return f"{model}: default thresholds {after} (were {before}): {found.bound.summary}"


def _table(front: Front) -> Table:
    rows = [
        (
            *_operating_point(point),
            f"{100 * point.quality:.2f}",
            f"{point.ms:.1f}",
        )
        for point in front.points
    ]
    columns = ("rho 1", "rho 2", "stage 1 %", "stage 2 %", "stage 3 %", "quality %", "ms")
    return console.table(columns, rows, "Pareto front of time and quality")


def _operating_point(point: FrontPoint | Candidate) -> list[str]:
    """Cells of the thresholds and the exit shares."""
    rhos, shares = point.rho, point.shares
    return [*(f"{rho:g}" for rho in rhos), *(f"{100 * share:.1f}" for share in shares)]


def _sentence(model: Path, tuned: Tuned) -> str:
    front = tuned.front
    least, most = front.points[0], front.points[-1]
    return (
        f"{model}: {len(front.points)} of {len(tuned.points)} pairs stored, {least.ms:.1f} to "
        f"{most.ms:.1f} ms ({1e3 / most.ms:.1f} to {1e3 / least.ms:.1f} fps); quality is "
        f"{front.measure}, over {front.images} images of {front.origin}"
    )
