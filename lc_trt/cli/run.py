"""`lc-trt run`: segment images, a video or a webcam."""

from __future__ import annotations

import json
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from lc_trt.cli import console
from lc_trt.cli.interrupts import interrupts
from lc_trt.errors import UsageError
from lc_trt.runtime.views import View
from lc_trt.thresholds import parse_rho

if TYPE_CHECKING:
    from lc_trt.video.pipeline import Stats


def run(
    model: Annotated[Path, typer.Argument(help="Bundle that lc-trt build made.")],
    source: Annotated[
        str,
        typer.Option(
            "--source",
            "-s",
            metavar="SOURCE",
            help="Image, video, folder of images, quoted pattern, or webcam number.",
        ),
    ],
    save: Annotated[
        list[Path] | None,
        typer.Option(
            "--save",
            "-o",
            metavar="OUT",
            help="Video (.mp4 .mkv .avi), image (of a video: its middle frame) or folder. "
            "Default: SOURCE_VIEW in the current folder.",
        ),
    ] = None,
    view: Annotated[
        list[View] | None,
        typer.Option(
            "--view",
            "-v",
            metavar="VIEW",
            help=f"{', '.join(View)}; one for each --save. Default: overlay.",
        ),
    ] = None,
    rho: Annotated[
        str | None,
        typer.Option(
            metavar="R1[,R2]|fast",
            help="Thresholds from 0 to 1; fast for the bundle's fast ones. Default: the bundle's.",
        ),
    ] = None,
    alpha: Annotated[
        float, typer.Option(metavar="A", min=0, max=1, help="Strength of the colours.")
    ] = 0.55,
    threads: Annotated[
        int | None, typer.Option(metavar="N", min=1, help="CPU threads. Default: all.")
    ] = None,
    frames: Annotated[
        int | None, typer.Option(metavar="N", min=1, help="Stop after N frames.")
    ] = None,
    as_json: Annotated[
        bool, typer.Option("--json", help="Print the summary as JSON on stdout.")
    ] = False,
) -> None:
    """Segment images, a video or a webcam with a built engine.

    Pictures have the frame's own size. --save and --view may be repeated, first with first,
    to get several views from one pass. Ctrl-C ends a run with its outputs complete.

    Example:
      lc-trt run model.lct --source traffic.mp4 --save out.mp4
      lc-trt run model.lct -s traffic.mp4 -v overlay -o a.mp4 -v stages -o b.mp4 --rho fast
    """
    views = view or [View.OVERLAY]
    if save and len(save) != len(views):
        raise UsageError(
            f"{len(save)} --save and {len(views)} --view: expected as many, first with first"
        )
    thresholds = None if rho is None else parse_rho(rho)

    import lc_trt
    from lc_trt.video import pipeline, sinks, sources

    with sources.open_source(source) as opened, lc_trt.load(model, threads=threads) as segmenter:
        paths = save or [sinks.default_output(opened, v) for v in views]
        outputs = list(zip(views, sinks.open_sinks(paths, opened, frames), strict=True))
        warning = "stopping after this frame (Ctrl-C again: at once, keeping nothing)"
        with interrupts(warning) as stop, _progress() as show:
            stats = pipeline.run(
                opened,
                segmenter,
                outputs,
                rho=thresholds,
                alpha=alpha,
                limit=frames,
                on_frame=show,
                stop=stop,
            )
    if stats.interrupted:
        console.note(f"stopped by Ctrl-C after {stats.frames} frames")
    if stats.cut_short:
        console.warn(
            f"{opened.name}: {stats.frames} frames could be read of {stats.expected} announced"
        )
    written = paths if stats.frames else []
    if as_json:
        print(json.dumps(_summary(stats, written), indent=2))
    else:
        print(_sentence(stats, written))


def _summary(stats: Stats, paths: list[Path]) -> dict[str, object]:
    return {
        "frames": stats.frames,
        "seconds": round(stats.seconds, 3),
        "fps": round(stats.fps, 2),
        "latency_ms": {f"p{q}": round(stats.percentile(q), 3) for q in (50, 95)},
        "shares": stats.shares and [round(share, 4) for share in stats.shares],
        "interrupted": stats.interrupted,
        "outputs": [str(path) for path in paths],
    }


def _sentence(stats: Stats, paths: list[Path]) -> str:
    if not stats.frames:
        return "0 frames, nothing written"
    p50, p95 = stats.percentile(50), stats.percentile(95)
    lines = [
        f"{stats.frames} frame{'s' * (stats.frames > 1)} in {stats.seconds:.1f} s "
        f"({stats.fps:.1f} fps with reading, drawing and writing); "
        f"segmenting p50 {p50:.1f} ms, p95 {p95:.1f} ms"
    ]
    if stats.shares is not None:
        lines.append(f"left at stage 1, 2, 3: {_percent(stats.shares)}")
    return "\n".join([*lines, *(f"wrote {path}" for path in paths)])


def _percent(shares: tuple[float, float, float]) -> str:
    return " / ".join(f"{share:.0%}" for share in shares)


@contextmanager
def _progress() -> Iterator[Callable[[Stats], None]]:
    """A bar on stderr with the frames a second and the shares so far."""
    from rich.progress import BarColumn, MofNCompleteColumn, Progress, TextColumn
    from rich.progress import TimeRemainingColumn as Remaining

    bar = Progress(
        TextColumn("segmenting"),
        BarColumn(),
        MofNCompleteColumn(),
        TextColumn("{task.description}"),
        Remaining(elapsed_when_finished=True),
        console=console.err(),
        disable=console.settings.quiet or not console.err().is_terminal,
    )
    with bar:
        task = bar.add_task("", total=None)

        def show(stats: Stats) -> None:
            shares = "" if stats.shares is None else f"  stages {_percent(stats.shares)}"
            bar.update(
                task,
                total=stats.expected,
                completed=stats.frames,
                description=f"{stats.fps:.1f} fps{shares}",
            )

        yield show
