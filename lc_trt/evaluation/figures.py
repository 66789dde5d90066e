"""Plots of a report, drawn by matplotlib in colors that are safe for color blindness."""

from __future__ import annotations

import io
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Any, TypeAlias

import matplotlib as mpl
import numpy as np
from matplotlib.axes import Axes
from matplotlib.backends.backend_agg import FigureCanvasAgg
from matplotlib.figure import Figure
from matplotlib.patches import Patch
from matplotlib.ticker import LogLocator, NullFormatter, ScalarFormatter

from lc_trt.data import published
from lc_trt.data.classes import ClassSet
from lc_trt.errors import UsageError
from lc_trt.evaluation.pictures import STAGE_COLOURS, STAGE_NAMES, Picture
from lc_trt.evaluation.stages import StageFigures
from lc_trt.evaluation.sweep import THRESHOLDS, Point, front
from lc_trt.utils.files import atomic_write, check_file

Colour: TypeAlias = tuple[float, float, float]

DPI, PHOTO_DPI = 160, 120
_ADVICE = "choose another file"


def _fraction(colour: tuple[int, int, int]) -> Colour:
    """Convert a color from 0..255 to matplotlib's 0..1."""
    red, green, blue = (value / 255 for value in colour)
    return red, green, blue


STYLE: Any = {  # matplotlib's types enumerate all keys
    "font.size": 9.0,
    "axes.spines.top": False,
    "axes.spines.right": False,
    "axes.titlesize": 10.0,
    "axes.titlelocation": "left",
    "figure.constrained_layout.use": True,
    "legend.frameon": False,
    "text.parse_math": False,  # class names may contain any character
}
BLUE, VERMILION, GREY = "#0072B2", "#D55E00", "#6B6B6B"
STAGES = tuple(_fraction(colour) for colour in STAGE_COLOURS)
STAGE_LABELS = tuple(f"stage {i} ({name})" for i, name in enumerate(STAGE_NAMES, start=1))


def png(draw: Callable[[Figure], None], width: float, height: float, dpi: int = DPI) -> bytes:
    """Render a figure as PNG on a white background.

    Args:
        draw: draws into the figure.
        width: in inches.
        height: in inches.
        dpi: pixels per inch.

    Returns:
        Content of a PNG file.
    """
    with mpl.rc_context(STYLE):
        figure = Figure((width, height), dpi=dpi, facecolor="white")
        FigureCanvasAgg(figure)
        draw(figure)
        content = io.BytesIO()
        # Without the software version, so that equal figures have equal bytes.
        figure.savefig(content, format="png", metadata={"Software": None})
    return content.getvalue()


def check_plot(path: Path) -> None:
    """Check early that `write_plot` can write.

    Args:
        path: the PNG file.

    Raises:
        UsageError: another suffix.
        LcTrtError: it cannot be written.
    """
    if path.suffix.lower() != ".png":
        raise UsageError(f"--plot {path}: unknown image format, expected .png")
    check_file(path, _ADVICE, option="--plot")


def write_plot(path: Path, content: bytes) -> None:
    """Write the file of an option ``--plot``.

    Args:
        path: the PNG file.
        content: of `png`.

    Raises:
        LcTrtError: it cannot be written.
    """
    atomic_write(path, content, _ADVICE, option="--plot")


def curve(points: Sequence[Point]) -> bytes:
    """Plot accuracy against time, with the published points as a separate series.

    Args:
        points: of a sweep.
    """
    return png(lambda figure: _curve(figure, points), 7.2, 4.4)


def _curve(figure: Figure, points: Sequence[Point]) -> None:
    axes = figure.subplots()
    equal = [p for p in points if p.rho[0] == p.rho[1]]
    if len(equal) < len(points):
        x, y = _coordinates([p for p in points if p not in equal])
        axes.plot(x, y, ".", color=GREY, alpha=0.6, label="measured, two thresholds")
        x, y = _coordinates(front(points))
        axes.step(x, y, "-", where="post", color=GREY, lw=1, label="Pareto front")
    x, y = _coordinates(equal)
    axes.plot(x, y, "o-", color=BLUE, label="measured, one threshold")
    for point in equal:
        axes.annotate(
            f"{point.rho[0]:g}", (point.ms_per_image, 100 * point.miou), (4, -10),
            textcoords="offset points", color=BLUE, fontsize=7.5,
        )  # fmt: skip
    times = [ms for ms, _ in published.SPEEDS.values()]
    mious = [miou for _, miou in published.SPEEDS.values()]
    axes.plot(
        times, mious, "s", color=VERMILION, markerfacecolor="none",
        label=f"published: {published.VAL}, on a GPU",
    )  # fmt: skip
    for name, place in published.SPEEDS.items():
        axes.annotate(
            name, place, (6, 3), textcoords="offset points", color=VERMILION, fontsize=7.5
        )
    axes.set_xscale("log")
    axes.xaxis.set_major_locator(LogLocator(subs=(1, 1.5, 2, 3, 4, 5, 7)))
    axes.xaxis.set_major_formatter(ScalarFormatter())
    axes.xaxis.set_minor_formatter(NullFormatter())
    axes.set_xlabel("milliseconds per image (median)")
    axes.set_ylabel("mIoU, %")
    axes.margins(0.08, 0.1)
    axes.grid(True, which="both", lw=0.4, alpha=0.5)
    figure.legend(loc="outside lower center", ncols=2)


def _coordinates(points: Sequence[Point]) -> tuple[list[float], list[float]]:
    return [p.ms_per_image for p in points], [100 * p.miou for p in points]


def grid(points: Sequence[Point]) -> bytes:
    """Plot mIoU and time for all pairs of thresholds.

    Args:
        points: of a sweep over all pairs, in its order.
    """
    return png(lambda figure: _grid(figure, points), 10.4, 4.6)


def _grid(figure: Figure, points: Sequence[Point]) -> None:
    count = len(THRESHOLDS)
    panels = figure.subplots(1, 2)
    quantities = (
        ("mIoU, %", [100 * p.miou for p in points], "cividis"),
        ("milliseconds per image (median)", [p.ms_per_image for p in points], "cividis_r"),
    )
    for axes, (title, values, colours) in zip(panels, quantities, strict=True):
        cells = np.array(values).reshape(count, count)
        shown = axes.imshow(cells, cmap=colours)
        for (y, x), value in np.ndenumerate(cells):
            bright = sum(shown.cmap(shown.norm(value))[:3]) > 1.5
            axes.text(
                x, y, f"{value:.1f}", ha="center", va="center", fontsize=7.5,
                color="black" if bright else "white",
            )  # fmt: skip
        ticks = [f"{rho:g}" for rho in THRESHOLDS]
        axes.set_xticks(range(count), ticks)
        axes.set_yticks(range(count), ticks)
        axes.set_xlabel("threshold after stage 2")
        axes.set_ylabel("threshold after stage 1")
        axes.spines[:].set_visible(False)
        axes.tick_params(length=0)
        axes.set_title(title)


def left_by_class(measured: StageFigures, classes: ClassSet) -> bytes:
    """Plot exit shares as one bar per class.

    Args:
        measured: exit shares per class.
        classes: names of the classes.
    """
    count = sum(shares is not None for shares in measured.by_class)
    return png(lambda figure: _left(figure, measured, classes), 7.2, 1.1 + 0.24 * count)


def _left(figure: Figure, measured: StageFigures, classes: ClassSet) -> None:
    axes = figure.subplots()
    rows = [
        (name, shares)
        for name, shares in zip(classes.names, measured.by_class, strict=True)
        if shares is not None
    ]
    names = [name for name, _ in rows]
    begin = np.zeros(len(rows))
    for stage in range(3):
        widths = np.array([100 * shares[stage] for _, shares in rows])
        axes.barh(
            names, widths, 0.78, left=begin, color=STAGES[stage], label=STAGE_LABELS[stage],
            edgecolor="white", linewidth=0.6,
        )  # fmt: skip
        for y, (x, width) in enumerate(zip(begin, widths, strict=True)):
            if width >= 6:
                axes.text(
                    x + width / 2, y, f"{width:.0f}", ha="center", va="center", fontsize=7.5,
                    color="white" if stage == 2 else "black",
                )  # fmt: skip
        begin += widths
    axes.invert_yaxis()
    axes.set_xlim(0, 100)
    axes.set_xlabel("share of the class's pixels, %")
    axes.spines["left"].set_visible(False)
    axes.tick_params(axis="y", length=0)
    figure.legend(loc="outside upper center", ncols=3)


def boundary(measured: StageFigures) -> bytes:
    """Plot the share of easy, moderate and hard pixels near a class boundary.

    Args:
        measured: measured shares; the published ones are added.
    """
    return png(lambda figure: _boundary(figure, measured), 5.2, 3.0)


def _boundary(figure: Figure, measured: StageFigures) -> None:
    axes = figure.subplots()
    places = np.arange(3)
    ours = [np.nan if share is None else 100 * share for share in measured.near_boundary]
    _bars(axes, places - 0.2, ours, "measured", BLUE, "")
    published_label = f"published ({published.SOURCE})"
    _bars(axes, places + 0.2, published.NEAR_BOUNDARY, published_label, "none", "////")
    axes.set_xticks(places, [f"{name}\n(stage {i})" for i, name in enumerate(STAGE_NAMES, 1)])
    axes.set_ylabel("near a class boundary, %")
    axes.set_ylim(0, 105)
    axes.legend(loc="upper left")


def _bars(
    axes: Axes, places: np.ndarray, values: Sequence[float], label: str, fill: str, hatch: str
) -> None:
    edge = BLUE if fill == BLUE else VERMILION
    axes.bar(places, values, 0.36, color=fill, edgecolor=edge, hatch=hatch, label=label)
    for x, value in zip(places, values, strict=True):
        text = "none" if np.isnan(value) else f"{value:.1f}"
        axes.text(x, np.nan_to_num(value) + 1.5, text, ha="center", fontsize=8)


def panels(picture: Picture, classes: ClassSet) -> bytes:
    """Draw the panels of an image, followed by a legend.

    Args:
        picture: the panels.
        classes: names and colours of the classes.
    """
    columns = 4
    rows = -(-(len(picture.panels) + 1) // columns)
    height, width = picture.panels[0][1].shape[:2]
    cell = 3.0  # inches
    return png(
        lambda figure: _panels(figure, picture, classes, rows, columns),
        columns * cell,
        rows * (cell * height / width + 0.25),
        PHOTO_DPI,
    )


def _panels(figure: Figure, picture: Picture, classes: ClassSet, rows: int, columns: int) -> None:
    spots = list(figure.subplots(rows, columns, squeeze=False).flat)
    for axes in spots:
        axes.set_axis_off()
    for axes, (title, image) in zip(spots, picture.panels, strict=False):
        axes.imshow(image)
        axes.set_title(title, fontsize=9)
    swatches = [
        Patch(facecolor=_fraction(classes.colours[k]), edgecolor=GREY, label=classes.names[k])
        for k in picture.present
    ]
    swatches.append(Patch(facecolor="#DDDDDD", edgecolor=GREY, hatch="////", label="void"))
    if len(picture.panels) > columns:
        stages = zip(STAGES, STAGE_LABELS, strict=True)
        swatches += [Patch(facecolor=c, edgecolor=GREY, label=label) for c, label in stages]
    spots[len(picture.panels)].legend(
        handles=swatches, loc="center", ncols=2, fontsize=8, handlelength=1.2
    )
