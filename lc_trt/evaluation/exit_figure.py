"""Plot of exit rules, drawn by matplotlib."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path

from matplotlib.axes import Axes
from matplotlib.figure import Figure

from lc_trt.evaluation.exit_comparison import ExitComparison
from lc_trt.evaluation.exit_curves import ORACLE, ExitCurve
from lc_trt.evaluation.figures import GREY, png, write_plot

# Safe for colour blindness (Okabe and Ito).
COLOURS = ("#000000", "#E69F00", "#56B4E9", "#009E73", "#CC79A7", "#D55E00")
MOST_CHANGED = 3.0  # % of labels; where more change, no rule is worth looking at


def write(path: Path, comparison: ExitComparison) -> None:
    """Plot labels changed and mIoU lost against the cells passed on, by rule.

    Args:
        path: the PNG file.
        comparison: all curves.

    Raises:
        LcTrtError: it cannot be written.
    """
    write_plot(path, png(lambda figure: _curves(figure, comparison), 9.6, 4.2))


def _curves(figure: Figure, comparison: ExitComparison) -> None:
    left, right = figure.subplots(1, 2)
    colours = iter(COLOURS)
    shown = 0.0
    for curve in comparison.curves:
        oracle = curve.rule == ORACLE
        style = (GREY, "--") if oracle else (next(colours), "-")
        shown = max(shown, _draw(left, right, curve, *style))
    for axes, label in ((left, "labels changed, %"), (right, "mIoU lost, points")):
        axes.set_xlim(0, shown)
        axes.set_xlabel("cells passed on to stage 2, %")
        axes.set_ylabel(label)
        axes.grid(True, lw=0.4, alpha=0.5)
    left.set_ylim(0, MOST_CHANGED)
    figure.legend(*left.get_legend_handles_labels(), loc="outside lower center", ncols=7)


def _draw(left: Axes, right: Axes, curve: ExitCurve, colour: str, style: str) -> float:
    """Draw a curve; returns the share of cells, in %, where it leaves the figure to the right."""
    whole = curve.points[-1].miou
    points = [p for p in curve.points if 100 * p.changed <= MOST_CHANGED]
    x = [100 * p.passed[0] for p in points]
    for axes, values in (
        (left, [100 * p.changed for p in points]),
        (right, [100 * (whole - p.miou) for p in points]),
    ):
        axes.plot(x, values, style, color=colour, lw=1.4, label=curve.rule)
    return _last(x, [p.changed for p in points])


def _last(x: Sequence[float], changed: Sequence[float]) -> float:
    nearly_none = [share for share, change in zip(x, changed, strict=True) if change > 5e-4]
    return max(nearly_none, default=100.0)
