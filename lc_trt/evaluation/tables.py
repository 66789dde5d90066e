"""The tables of an evaluation as ready strings, for the terminal and the report alike."""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass

from lc_trt.data import published
from lc_trt.evaluation.evaluate import Evaluation
from lc_trt.evaluation.stages import Shares
from lc_trt.evaluation.sweep import THRESHOLDS, Point
from lc_trt.evaluation.sweep import front as best

NONE = "-"


@dataclass(frozen=True)
class Table:
    """A table.

    Attributes:
        columns: their names.
        rows: a cell a column.
        theirs: the first column that is published, not measured; all behind it are too.
    """

    columns: tuple[str, ...]
    rows: tuple[tuple[str, ...], ...]
    theirs: int


def accuracy(found: Evaluation) -> Table:
    """IoU by class and its mean; VOC classes beside the published methods."""
    methods = published.METHODS if found.classes == published.VOC.names else ()
    columns = ("class", "IoU %", *(method.title for method in methods))
    rows = [
        (name, _percent(value, "absent"), *(_number(method.class_iou(label)) for method in methods))
        for label, (name, value) in enumerate(zip(found.classes, found.iou, strict=True))
    ]
    rows.append(("mean", _percent(found.miou), *(_number(method.miou) for method in methods)))
    return Table(columns, tuple(rows), 2)


def left_by_class(found: Evaluation) -> Table:
    """Where each class leaves; VOC classes beside the published examples."""
    assert found.stages is not None
    columns = ["class", "stage 1 %", "stage 2 %", "stage 3 %"]
    voc = found.classes == published.VOC.names
    if voc:
        columns.append("published 1/2/3 %")
    rows = []
    for name, shares in zip(found.classes, found.stages.by_class, strict=True):
        row = [name, *_shares(shares)]
        if voc:
            theirs = published.EXIT_SHARES_BY_CLASS.get(name)
            row.append(NONE if theirs is None else "/".join(f"{v:.1f}" for v in theirs))
        rows.append(tuple(row))
    return Table(tuple(columns), tuple(rows), 4)


def near_boundary(found: Evaluation) -> Table:
    """How much of what left at each stage lies near a class boundary."""
    assert found.stages is not None
    rows = [
        (name, NONE if ours is None else f"{100 * ours:.1f}", f"{theirs:.1f}")
        for name, ours, theirs in zip(
            ("easy (stage 1)", "moderate (stage 2)", "hard (stage 3)"),
            found.stages.near_boundary,
            published.NEAR_BOUNDARY,
            strict=True,
        )
    ]
    return Table(("pixels", "near a boundary %", "published % (VOC12)"), tuple(rows), 2)


def thresholds(points: Sequence[Point]) -> Table:
    """The points with the same threshold at both boundaries, beside the published table."""
    rows = []
    for point in points:
        theirs = published.rho_row(point.rho)
        if theirs is not None:
            left = "/".join(f"{share:g}" for share in theirs.exited)
            rows.append((f"{point.rho[0]:g}", *_figures(point), left, f"{theirs.miou:.2f}"))
    columns = ("rho", *_FIGURES, "published 1/2 %", f"published mIoU % ({published.VAL})")
    return Table(columns, tuple(rows), 1 + len(_FIGURES))


def front(points: Sequence[Point]) -> Table:
    """The pairs of thresholds that no other beats in both time and mIoU."""
    rows = [(f"{p.rho[0]:g}", f"{p.rho[1]:g}", *_figures(p)) for p in best(points)]
    return Table(("rho 1", "rho 2", *_FIGURES), tuple(rows), 2 + len(_FIGURES))


def grid(points: Sequence[Point]) -> Table:
    """mIoU and milliseconds at every pair: a row a first threshold, a column a second."""
    columns = ("rho 1 \\ rho 2", *(f"{rho:g}" for rho in THRESHOLDS))
    cells = {point.rho: f"{100 * point.miou:.1f} / {point.ms_per_image:.0f}" for point in points}
    rows = [(f"{one:g}", *(cells[one, two] for two in THRESHOLDS)) for one in THRESHOLDS]
    return Table(columns, tuple(rows), len(columns))


_FIGURES = ("stage 1 %", "stage 2 %", "stage 3 %", "mIoU %", "pixel acc. %", "ms an image")


def _figures(point: Point) -> tuple[str, ...]:
    return (
        *_shares(point.shares),
        f"{100 * point.miou:.2f}",
        f"{100 * point.pixel_accuracy:.2f}",
        f"{point.ms_per_image:.1f}",
    )


def _shares(shares: Shares | None) -> tuple[str, str, str]:
    if shares is None:
        return "absent", "absent", "absent"
    one, two, three = (f"{100 * share:.1f}" for share in shares)
    return one, two, three


def _percent(value: float, absent: str = NONE) -> str:
    return absent if math.isnan(value) else f"{100 * value:.1f}"


def _number(value: float | None) -> str:
    return NONE if value is None else f"{value:.1f}"
