"""`lc-trt run`: segment images, videos, cameras and streams."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

import typer

from lc_trt.bundle.thresholds import parse_rho
from lc_trt.cli import console
from lc_trt.cli import option_values as options
from lc_trt.cli.interrupts import interrupts
from lc_trt.errors import UsageError
from lc_trt.ir.interface import EVERY, TOLERANCE
from lc_trt.runtime.resize import Fit
from lc_trt.runtime.visualize import View


def run(
    model: Annotated[Path, typer.Argument(help="Bundle that lc-trt build made.")],
    source: Annotated[
        list[str],
        typer.Option(
            "--source",
            "-s",
            metavar="SOURCE",
            help="Image, video, folder of images, quoted pattern, webcam number, URL (rtsp, http), "
            "or - for raw frames on stdin. Repeated: all at once, in shared passes.",
        ),
    ],
    save: Annotated[
        list[Path] | None,
        typer.Option(
            "--save",
            "-o",
            metavar="OUT",
            help="Video (.mp4 .mkv .avi), image (of a video: its middle frame) or folder. Default: "
            "SOURCE_VIEW in the current folder, if nothing else is asked for.",
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
    save_labels: Annotated[
        Path | None,
        typer.Option(
            metavar="OUT",
            help="Label maps: folder or .png (palette PNG), .npz, or - for bytes on stdout.",
        ),
    ] = None,
    show: Annotated[bool, typer.Option("--show", help="A window; q closes it and stops.")] = False,
    as_json: Annotated[
        bool, typer.Option("--json", help="A line of JSON a frame on stdout, then a summary.")
    ] = False,
    rho: Annotated[
        str | None,
        typer.Option(
            metavar="R1[,R2]|fast",
            help="Thresholds from 0 to 1; fast for the bundle's fast ones. Default: the bundle's. "
            "With --target-fps the most that it may choose.",
        ),
    ] = None,
    target_fps: Annotated[
        float | None,
        typer.Option(
            metavar="F",
            min=0.01,
            max=10_000,
            help="Hold F frames a second of each source: moves the thresholds with every pass. "
            "The bundle has to be tuned (lc-trt tune).",
        ),
    ] = None,
    fit: Annotated[
        Fit, typer.Option(help="How frames of another shape come to the engine's size.")
    ] = Fit.STRETCH,
    alpha: Annotated[
        float, typer.Option(metavar="A", min=0, max=1, help="Strength of the colours.")
    ] = 0.55,
    reuse: Annotated[
        bool,
        typer.Option(
            "--reuse",
            help="Pixels that have not moved keep the results of earlier frames; needs a bundle "
            "of lc-trt build --reuse.",
        ),
    ] = False,
    reuse_tolerance: Annotated[
        float | None,
        typer.Option(
            metavar="T",
            min=0,
            help="How far features may move, as a part of their length.",
            show_default=str(TOLERANCE),
        ),
    ] = None,
    reuse_every: Annotated[
        int | None,
        typer.Option(
            metavar="N", min=1, help="Compute all every N frames.", show_default=str(EVERY)
        ),
    ] = None,
    threads: Annotated[
        int | None, typer.Option(metavar="N", min=1, help="CPU threads. Default: all.")
    ] = None,
    device: options.Device = None,
    frames: Annotated[
        int | None, typer.Option(metavar="N", min=1, help="Stop after N frames of each source.")
    ] = None,
    raw: Annotated[
        str | None, typer.Option(metavar="WxH", help="Size of raw frames on stdin (BGR, 3 bytes).")
    ] = None,
    fps: Annotated[
        float | None,
        typer.Option(
            metavar="F", min=0.01, max=1000, help="Rate of raw frames and of images made a video."
        ),
    ] = None,
    drop: Annotated[
        str,
        typer.Option(
            metavar="oldest|none",
            help="Of a live source that is too fast: drop frames, or let it wait.",
        ),
    ] = "oldest",
    timeout: Annotated[
        float,
        typer.Option(metavar="S", min=0.1, help="Seconds after which a live source is lost."),
    ] = 10.0,
    retries: Annotated[
        int, typer.Option(metavar="N", min=0, help="Tries in a row to get it back.")
    ] = 8,
) -> None:
    """Segment images, videos, cameras and streams with an engine.

    Pictures have the frame's own size. --save and --view may be repeated, first with first,
    to get several views from one pass. Ctrl-C ends a run with its outputs complete.

    Example:
      lc-trt run model.lct --source traffic.mp4 --save out.mp4
      lc-trt run model.lct -s traffic.mp4 -v overlay -o a.mp4 -v stages -o b.mp4 --rho fast
      lc-trt run model.lct -s traffic.mp4 --device cuda:1
      lc-trt run model.lct -s 0 --show --target-fps 23.6
      lc-trt run model.lct -s camera.mp4 -o out.mp4 --reuse
      lc-trt run model.lct -s rtsp://camera/1 -s rtsp://camera/2 --save out/ --json
      ffmpeg -i in.mov -f rawvideo -pix_fmt bgr24 - | lc-trt run model.lct -s - --raw 640x480
    """
    from lc_trt.cli import run_report

    views = view or [View.OVERLAY]
    if save and len(save) != len(views):
        raise UsageError(
            f"{len(save)} --save and {len(views)} --view: expected as many, first with first"
        )
    to_stdout = save_labels == Path("-")
    if to_stdout and as_json:
        raise UsageError("--save-labels - and --json: both write to stdout; choose one")
    thresholds = None if rho is None else parse_rho(rho)
    size = None if raw is None else options.width_height("--raw", raw)
    chosen = options.device(device)
    if not reuse and (reuse_tolerance is not None or reuse_every is not None):
        raise UsageError("--reuse-tolerance and --reuse-every belong to --reuse")
    live = run_report.live_options(drop, timeout, retries)
    asked = bool(save_labels or show or as_json) and not (view and not show)

    import lc_trt
    from lc_trt.runtime.temporal_reuse import check
    from lc_trt.video import pipeline
    from lc_trt.video.sinks import open as outputs
    from lc_trt.video.sources.open import open_sources

    wish = outputs.OutputSpec(
        views=views,
        save=save or (() if asked else None),
        alpha=alpha,
        labels=save_labels,
        show=show,
        fps=fps,
        limit=frames,
    )
    with (
        lc_trt.load(model, device=chosen, threads=threads, fit=fit) as segmenter,
        open_sources(source, raw=size, fps=fps, live=live) as opened,
    ):
        governor = run_report.governor(segmenter, target_fps, thresholds)
        if reuse:
            check(segmenter.engine)
        made = outputs.open_outputs(opened, wish, segmenter.manifest.colours)
        for line in outputs.sound_lost(opened, made):
            console.note(line)
        warning = "stopping after this frame (Ctrl-C again: at once, keeping nothing)"
        with interrupts(warning) as pressed, run_report.reporter(as_json, governor) as report:
            stats = pipeline.run(
                opened,
                segmenter,
                made,
                rho=governor or thresholds,
                reuse=lc_trt.Reuse(
                    TOLERANCE if reuse_tolerance is None else reuse_tolerance,
                    every=reuse_every or EVERY,
                )
                if reuse
                else None,
                limit=frames,
                on_frame=report.frame,
                stop=lambda: pressed() or report.refused or outputs.window_closed(made),
            )
        if stats.interrupted:
            console.note(f"stopped after {stats.frames} frames")
        for one in opened:
            for line in one.report():
                console.warn(f"{one.name}: {line}")
    report.end(stats, opened, outputs.paths(made) if stats.frames else [], quiet=to_stdout)
