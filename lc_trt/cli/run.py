"""`lc-trt run`: segment images, videos, cameras and streams."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

import typer

from lc_trt.cli import console
from lc_trt.cli.interrupts import interrupts
from lc_trt.cli.option_groups.compose import takes_groups
from lc_trt.cli.option_groups.hardware import Hardware
from lc_trt.cli.option_groups.thresholds import GovernedRho
from lc_trt.cli.option_groups.video import Outputs, Sources, TemporalReuse
from lc_trt.runtime.resize import Fit


@takes_groups
def run(
    model: Annotated[Path, typer.Argument(help="Bundle of lc-trt build.")],
    sources: Sources,
    outputs: Outputs,
    thresholds: GovernedRho,
    temporal: TemporalReuse,
    hardware: Hardware,
    fit: Annotated[
        Fit, typer.Option(help="How frames of another shape are brought to the engine's size.")
    ] = Fit.STRETCH,
) -> None:
    """Segment images, videos, cameras and streams with an engine.

    Pictures have the frame's own size. --save and --view may be repeated, in the same order, to
    get several views from one pass. Ctrl-C ends a run with its outputs complete.

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

    spec = outputs.output_spec(sources.fps, sources.frames)
    rho = thresholds.rho_or_fast()
    raw, live = sources.raw_size(), sources.live_options()
    device = hardware.device_name()
    reuse = temporal.reuse_state()

    import lc_trt
    from lc_trt.runtime.temporal_reuse import check_reuse
    from lc_trt.video import pipeline
    from lc_trt.video.sinks.open import dropped_audio, open_outputs, paths, window_closed
    from lc_trt.video.sources.open import open_sources

    with (
        lc_trt.load(model, device=device, threads=hardware.threads, fit=fit) as segmenter,
        open_sources(sources.source, raw=raw, fps=sources.fps, live=live) as opened,
    ):
        policy = run_report.threshold_policy(segmenter, thresholds.target_fps, rho)
        if reuse is not None:
            check_reuse(segmenter.engine)
        sinks = open_outputs(opened, spec, segmenter.manifest.colours)
        for line in dropped_audio(opened, sinks):
            console.note(line)
        warning = "stopping after this frame (Ctrl-C again: at once, keeping nothing)"
        with (
            interrupts(warning) as pressed,
            run_report.reporter(outputs.as_json, policy) as report,
        ):
            stats = pipeline.run(
                opened,
                segmenter,
                sinks,
                rho=policy,
                reuse=reuse,
                limit=sources.frames,
                on_frame=report.frame,
                stop=lambda: pressed() or report.refused or window_closed(sinks),
            )
        if stats.interrupted:
            console.note(f"stopped after {stats.frames} frames")
        for source in opened:
            for line in source.problems():
                console.warn(f"{source.name}: {line}")
    written = paths(sinks) if stats.frames else []
    report.end(stats, opened, written, quiet=outputs.labels_to_stdout)
