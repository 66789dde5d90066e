"""Plot of a Pareto front, drawn by matplotlib."""

from __future__ import annotations

from pathlib import Path

from matplotlib.figure import Figure

from lc_trt.evaluation.figures import BLUE, GREY, VERMILION, png, write_plot
from lc_trt.evaluation.pareto_search import Tuned
from lc_trt.runtime.governor.operating_curve import find_operating_curve


def write(path: Path, tuned: Tuned) -> None:
    """Plot all measured pairs, the Pareto front, and the governor's operating curve.

    Args:
        path: the PNG file.
        tuned: result of the search.

    Raises:
        LcTrtError: it cannot be written.
    """
    write_plot(path, png(lambda figure: _front(figure, tuned), 7.2, 4.4))


def _front(figure: Figure, tuned: Tuned) -> None:
    axes = figure.subplots()
    for points, style in (
        (tuned.points, {"color": GREY, "alpha": 0.5, "label": "measured pairs", "marker": "."}),
        (tuned.front.points, {"color": BLUE, "label": "Pareto front", "marker": "o"}),
    ):
        axes.plot(
            [p.ms for p in points], [100 * p.quality for p in points], linestyle="none", **style
        )
    curve = find_operating_curve(tuned.front).points
    axes.plot(
        [p.ms for p in curve], [100 * p.quality for p in curve], "-", color=VERMILION, lw=1.2,
        label="operating curve of the governor", zorder=0,
    )  # fmt: skip
    for point in curve:
        axes.annotate(
            f"{point.rho[0]:.3g}, {point.rho[1]:.3g}", (point.ms, 100 * point.quality), (5, -9),
            textcoords="offset points", color=BLUE, fontsize=7,
        )  # fmt: skip
    axes.set_xlabel("engine milliseconds per image")
    axes.set_ylabel(f"{tuned.front.measure}, %")
    axes.margins(0.1, 0.1)
    axes.grid(True, lw=0.4, alpha=0.5)
    figure.legend(loc="outside lower center", ncols=3)
