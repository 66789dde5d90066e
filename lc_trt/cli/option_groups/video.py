"""Options for sources of frames, outputs, and reuse from frame to frame."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from lc_trt.cli import option_values
from lc_trt.cli.option_groups.compose import OptionGroup
from lc_trt.errors import UsageError
from lc_trt.ir.interface import EVERY, TOLERANCE
from lc_trt.runtime.visualize import View

if TYPE_CHECKING:
    from lc_trt.runtime.temporal_reuse import Reuse
    from lc_trt.video.sinks.open import OutputSpec
    from lc_trt.video.sources.live import LiveOptions


@dataclass(frozen=True, kw_only=True)
class Sources(OptionGroup):
    """Sources of frames, and what happens when a live one stalls or is too fast."""

    PANEL = "Sources"

    source: Annotated[
        list[str],
        typer.Option(
            "--source",
            "-s",
            metavar="SOURCE",
            help="Image, video, folder of images, quoted pattern, webcam number, URL (rtsp, http), "
            "or - for raw frames on stdin. Repeated: all at once, in shared passes.",
        ),
    ]
    frames: Annotated[
        int | None, typer.Option(metavar="N", min=1, help="Stop after N frames of each source.")
    ] = None
    raw: Annotated[
        str | None, typer.Option(metavar="WxH", help="Size of raw frames on stdin (BGR, 3 bytes).")
    ] = None
    fps: Annotated[
        float | None,
        typer.Option(
            metavar="F",
            min=0.01,
            max=1000,
            help="Rate of raw frames, and of videos made of images.",
        ),
    ] = None
    drop: Annotated[
        str,
        typer.Option(
            metavar="oldest|none",
            help="If a live source is too fast: drop its oldest frames, or let it wait.",
        ),
    ] = "oldest"
    timeout: Annotated[
        float,
        typer.Option(
            metavar="S", min=0.1, help="Seconds without a frame until a live source is lost."
        ),
    ] = 10.0
    retries: Annotated[
        int, typer.Option(metavar="N", min=0, help="Attempts in a row to reconnect.")
    ] = 8

    def raw_size(self) -> tuple[int, int] | None:
        """(height, width) of raw frames in pixels; None without the option."""
        return None if self.raw is None else option_values.width_height("--raw", self.raw)

    def live_options(self) -> LiveOptions:
        """Time-out, reconnection and overflow policy of live sources.

        Raises:
            UsageError: no such policy.
        """
        from lc_trt.video.sources.live import Drop, LiveOptions

        if self.drop not in list(Drop):
            raise UsageError(f"--drop {self.drop}: expected {' or '.join(Drop)}")
        return LiveOptions(Drop(self.drop), self.timeout, self.retries)


@dataclass(frozen=True)
class Outputs(OptionGroup):
    """Outputs for each source, and where they go."""

    PANEL = "Outputs"

    save: Annotated[
        list[Path] | None,
        typer.Option(
            "--save",
            "-o",
            metavar="OUT",
            help="Video (.mp4 .mkv .avi), image (of a video: its middle frame) or folder. Default: "
            "SOURCE_VIEW in the current folder, if there is no other output.",
        ),
    ] = None
    view: Annotated[
        list[View] | None,
        typer.Option(
            "--view",
            "-v",
            metavar="VIEW",
            help=f"{', '.join(View)}; one for each --save. Default: overlay.",
        ),
    ] = None
    save_labels: Annotated[
        Path | None,
        typer.Option(
            metavar="OUT",
            help="Label maps: folder or .png (palette PNG), .npz, or - for bytes on stdout.",
        ),
    ] = None
    show: Annotated[bool, typer.Option("--show", help="A window; q closes it and stops.")] = False
    alpha: Annotated[
        float, typer.Option(metavar="A", min=0, max=1, help="Strength of the colours.")
    ] = 0.55
    as_json: Annotated[
        bool,
        typer.Option("--json", help="One line of JSON per frame on stdout, then a summary."),
    ] = False

    @property
    def labels_to_stdout(self) -> bool:
        """Whether label maps, and nothing else, go to stdout."""
        return self.save_labels == Path("-")

    def output_spec(self, fps: float | None, frames: int | None) -> OutputSpec:
        """The outputs for each source.

        Args:
            fps: frames per second of a video made of images.
            frames: number of frames of each source; None for all.

        Raises:
            UsageError: options that do not go together.
        """
        from lc_trt.video.sinks.open import OutputSpec

        views = self.view or [View.OVERLAY]
        if self.save and len(self.save) != len(views):
            raise UsageError(
                f"{len(self.save)} --save and {len(views)} --view: expected one --view per --save"
            )
        if self.labels_to_stdout and self.as_json:
            raise UsageError("--save-labels - and --json: both write to stdout; choose one")
        others = bool(self.save_labels or self.show or self.as_json)
        no_picture = others and not (self.view and not self.show)
        return OutputSpec(
            views=views,
            save=self.save or (() if no_picture else None),
            alpha=self.alpha,
            labels=self.save_labels,
            show=self.show,
            fps=fps,
            limit=frames,
        )


@dataclass(frozen=True)
class TemporalReuse(OptionGroup):
    """Reuse of results from frame to frame."""

    PANEL = "Temporal reuse"

    reuse: Annotated[
        bool,
        typer.Option(
            "--reuse",
            help="Pixels that have not changed keep the results of earlier frames; needs a bundle "
            "of lc-trt build --reuse.",
        ),
    ] = False
    reuse_tolerance: Annotated[
        float | None,
        typer.Option(
            metavar="T",
            min=0,
            help="How far features may move, relative to their norm.",
            show_default=str(TOLERANCE),
        ),
    ] = None
    reuse_every: Annotated[
        int | None,
        typer.Option(
            metavar="N", min=1, help="Compute all every N frames.", show_default=str(EVERY)
        ),
    ] = None

    def reuse_state(self) -> Reuse | None:
        """The state that a stream keeps from frame to frame; None without reuse.

        Raises:
            UsageError: options of reuse without it.
        """
        if not self.reuse:
            if self.reuse_tolerance is not None or self.reuse_every is not None:
                raise UsageError("--reuse-tolerance and --reuse-every belong to --reuse")
            return None
        from lc_trt.runtime.temporal_reuse import Reuse

        tolerance = TOLERANCE if self.reuse_tolerance is None else self.reuse_tolerance
        return Reuse(tolerance, every=self.reuse_every or EVERY)
