"""`lc-trt bench`."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Literal

import typer

from lc_trt.cli import console
from lc_trt.cli.command_line import command_line
from lc_trt.cli.option_groups.compose import takes_groups
from lc_trt.cli.option_groups.hardware import Hardware
from lc_trt.cli.option_groups.model import Size
from lc_trt.errors import UsageError
from lc_trt.utils.files import check_file

if TYPE_CHECKING:
    from lc_trt.bench.report import Report


@dataclass(frozen=True)
class _Content(Size):
    PANEL = "Frames"

    images: Annotated[
        Path | None,
        typer.Option(
            help="Folder of images, or a video.", show_default="photographs of scikit-image"
        ),
    ] = None
    size: Annotated[
        str | None,
        typer.Option(metavar="HxW", help="In pixels.", show_default="300x500; dense: as built"),
    ] = None
    batch: Annotated[
        int | None, typer.Option(min=1, help="Images per pass.", show_default="as built")
    ] = None


@takes_groups
def bench(
    bundle: Annotated[Path, typer.Argument(help="The built engine, NAME.lct.")],
    content: _Content,
    hardware: Hardware,
    shares: Annotated[
        str | None,
        typer.Option(
            metavar="A/B/C",
            help="Percent that leave at stages 1/2/3: of LC fast, or of LC,LC fast, or published.",
            show_default="the thresholds of trained weights, published for untrained",
        ),
    ] = None,
    runners: Annotated[
        Literal["bundle", "all"],
        typer.Option(help="Dense networks on the bundle's backend, or on every installed one."),
    ] = "bundle",
    baselines: Annotated[
        bool, typer.Option("--baselines", help="Also VGG16 and ResNet-101; needs PyTorch.")
    ] = False,
    peers: Annotated[
        bool,
        typer.Option(
            "--peers",
            help="Also PIDNet-S and DDRNet-23-slim, and accuracy beside speed; needs PyTorch.",
        ),
    ] = False,
    accuracy: Annotated[
        Path | None,
        typer.Option(
            metavar="DIR",
            help="Folder of eval-*.json, results of lc-trt eval --json, for --peers.",
            show_default="benchmarks/ of the checkout",
        ),
    ] = None,
    rounds: Annotated[int, typer.Option(min=1, help="Timed passes per row.")] = 25,
    warmup: Annotated[int, typer.Option(min=0, help="Untimed passes before them.")] = 3,
    soak: Annotated[
        int, typer.Option(min=0, metavar="N", help="Also watch the memory over N passes.")
    ] = 0,
    target_fps: Annotated[
        float | None,
        typer.Option(
            min=0, help="What LC fast (or a dense network) must reach.", show_default="23.6 for LC"
        ),
    ] = None,
    check: Annotated[
        bool, typer.Option("--check/--no-check", help="Exit with 1 if it misses the target.")
    ] = True,
    json_file: Annotated[
        Path | None, typer.Option("--json", metavar="FILE", help="Also write the result as JSON.")
    ] = None,
) -> None:
    """Measure the speed of a built engine beside published figures.

    Rows are the dense network, the cascade (LC) and its fast mode, interleaved, each pass on
    another frame. Speed-up is over the fastest dense row; the ceiling is the largest speed-up that
    the skipped operations allow.

    Example:
        lc-trt bench model.lct --json bench.json
        lc-trt bench model.lct --peers --images camvid/val/images --size 384x512
    """
    from lc_trt.bench.options import Options
    from lc_trt.bench.shares import parse_shares
    from lc_trt.bench.suite import run_bench

    options = Options(
        images=content.images,
        size=content.pixels(),
        batch=content.batch,
        shares=None if shares is None else parse_shares(shares),
        threads=hardware.threads,
        device=hardware.device_name(),
        baselines=baselines,
        peers=peers,
        accuracy=accuracy,
        all_runners=runners == "all",
        target_fps=target_fps,
        rounds=rounds,
        warmup=warmup,
        soak=soak,
    )
    if accuracy is not None and not peers:
        raise UsageError("--accuracy: is shown beside peers only; add --peers")
    if json_file is not None:
        check_file(json_file, "choose another file", option="--json")
    report = run_bench(
        bundle,
        options,
        command=command_line("lc-trt", console.settings.arguments),
        monitor=console.BarMonitor(),
    )
    _print(report)
    if json_file is not None:
        report.write(json_file)
    if check and report.target is not None and not report.target.met:
        raise typer.Exit(1)


def _print(report: Report) -> None:
    from lc_trt.bench.report import COLUMNS

    rows = [row.cells() for row in report.rows]
    console.show(console.table(COLUMNS, rows, report.title()), *report.lines())
    if report.race is not None:
        race = report.race
        cells = [entry.cells() for entry in race.entries]
        console.show(console.table(race.columns, cells, "Speed beside accuracy"), *race.lines())
    for note in report.notes:
        console.warn(note)
