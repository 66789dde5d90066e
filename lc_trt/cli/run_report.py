"""Reports of `lc-trt run`: a bar, one line of JSON per frame, a summary."""

from __future__ import annotations

import json
import os
import sys
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from pathlib import Path
from typing import TYPE_CHECKING, Any

from lc_trt.cli import console

if TYPE_CHECKING:
    from rich.progress import Progress

    from lc_trt.bundle.thresholds import Rho
    from lc_trt.runtime.governor.threshold_policy import PolicyStatus, ThresholdPolicy
    from lc_trt.runtime.result import Result
    from lc_trt.runtime.segmenter import Segmenter
    from lc_trt.video.base import Frame, Source
    from lc_trt.video.pipeline import Stats

_SHORT = 0.9  # of the target rate; less is worth a line


def threshold_policy(
    segmenter: Segmenter, target_fps: float | None, rho: Rho | None
) -> ThresholdPolicy:
    """The policy of ``--target-fps`` and ``--rho``; losing the rate is a warning.

    Args:
        segmenter: what runs.
        target_fps: frames per second to hold; None for fixed thresholds.
        rho: fixed thresholds, or the quality bound of those that hold the rate.
    """
    if target_fps is None:
        return segmenter.threshold_policy(rho)
    return segmenter.govern(target_fps, rho, tell=console.warn)


class Report:
    """Shows progress on stderr and prints results on stdout.

    Attributes:
        refused: whether the reader of stdout has closed it.
    """

    def __init__(self, bar: Progress, as_json: bool, policy: ThresholdPolicy) -> None:
        self.refused = False
        self._bar, self._json, self._policy = bar, as_json, policy
        self._task = bar.add_task("segmenting", total=None, text="")

    def frame(self, stats: Stats, source: Source, frame: Frame, result: Result) -> None:
        """Report one frame.

        Args:
            stats: of the run so far.
            source: of the frame.
            frame: the frame.
            result: of the frame.
        """
        shares = "" if stats.shares is None else f"  stages {_percent(stats.shares)}"
        if stats.reuse is not None:
            shares += f"  computed {stats.reuse[0]:.0%}"
        dropped = f"  {stats.dropped} dropped" if stats.dropped else ""
        status = self._policy.status()
        self._bar.update(
            self._task,
            total=stats.expected,
            completed=stats.frames,
            text=f"{stats.fps:.1f} fps{shares}{dropped}{_state(status)}",
        )
        if self._json:
            self._print(json.dumps(_line(source, frame, result, status)))

    def end(
        self, stats: Stats, sources: Sequence[Source], paths: list[Path], *, quiet: bool
    ) -> None:
        """Report the whole run.

        Args:
            stats: of the run.
            sources: all of them; their problems are part of the JSON.
            paths: the files that were written.
            quiet: whether stdout holds other data, so that the sentence goes to stderr.
        """
        status = self._policy.status()
        if self._json:
            self._print(json.dumps({"summary": _summary(stats, sources, paths, status)}))
        elif quiet:
            console.note(_sentence(stats, paths, status).replace("\n", "; "))
        else:
            self._print(_sentence(stats, paths, status))

    def _print(self, text: str) -> None:
        if self.refused:
            return
        try:
            print(text, flush=True)
        except BrokenPipeError:
            # As with `... | head`. Python would complain when it closes stdout at exit.
            self.refused = True
            os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stdout.fileno())


@contextmanager
def reporter(as_json: bool, policy: ThresholdPolicy) -> Iterator[Report]:
    """A report with a bar on stderr while the block runs.

    Args:
        as_json: print one line of JSON per frame and for the summary.
        policy: of the run; its status is part of the reports.
    """
    with console.bars("{task.fields[text]}") as bar:
        yield Report(bar, as_json, policy)


def _line(
    source: Source, frame: Frame, result: Result, status: PolicyStatus | None
) -> dict[str, Any]:
    areas = zip(result.classes, result.areas, strict=True)
    governed = {} if status is None else {"target_held": status.held}
    reuse = {} if result.cell_work is None else _reuse(result.computed, result.reused)
    return {
        "source": source.name,
        "frame": frame.index,
        "name": frame.name,
        "time": frame.time and round(frame.time, 4),
        "shares": result.shares and [round(share, 4) for share in result.shares],
        "rho": result.rho and [round(threshold, 5) for threshold in result.rho],
        **governed,
        **reuse,
        "timing_ms": {step: round(value, 3) for step, value in result.timing.items()},
        "areas": {name: round(area, 4) for name, area in areas if area},
    }


def _summary(
    stats: Stats, sources: Sequence[Source], paths: list[Path], status: PolicyStatus | None
) -> dict[str, Any]:
    return {
        "frames": stats.frames,
        "seconds": round(stats.seconds, 3),
        "fps": round(stats.fps, 2),
        "latency_ms": {f"p{q}": round(stats.percentile(q), 3) for q in (50, 95)},
        "shares": stats.shares and [round(share, 4) for share in stats.shares],
        "governor": status and status.summary(),
        **({} if stats.reuse is None else _reuse(*stats.reuse)),
        "dropped": stats.dropped,
        "reconnects": stats.reconnects,
        "interrupted": stats.interrupted,
        "problems": [f"{source.name}: {line}" for source in sources for line in source.problems()],
        "outputs": [str(path) for path in paths],
    }


def _sentence(stats: Stats, paths: list[Path], status: PolicyStatus | None) -> str:
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
    if stats.reuse is not None:
        computed, reused = stats.reuse
        lines.append(f"stages 2 and 3 computed {computed:.0%}, kept from earlier {reused:.0%}")
    if status is not None:
        lines.append(
            f"{status.target_fps:g} frames per second held for {status.held_share:.0%} of the "
            f"frames, {status.mean_level:.0%} of the way from fast to full quality"
        )
        # Only of files is it known that frames do not wait for a camera.
        if (
            stats.expected is not None
            and stats.fps < _SHORT * status.target_fps
            and status.held_share > _SHORT
        ):
            lines.append("the network kept up; reading, drawing or writing did not")
    return "\n".join([*lines, *(f"wrote {path}" for path in paths)])


def _reuse(computed: float | None, reused: float | None) -> dict[str, float]:
    return {"computed": round(computed or 0.0, 4), "reused": round(reused or 0.0, 4)}


def _percent(shares: tuple[float, float, float]) -> str:
    return " / ".join(f"{share:.0%}" for share in shares)


def _state(status: PolicyStatus | None) -> str:
    if status is None:
        return ""
    return f"  level {status.level:.0%}" if status.held else "  target missed"
