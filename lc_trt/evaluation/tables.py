"""Tables of an evaluation as formatted strings, for the terminal and the report."""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass

from lc_trt.data import published
from lc_trt.data.metrics import Shares
from lc_trt.evaluation.evaluate import Evaluation
from lc_trt.evaluation.sweep import THRESHOLDS, Point
from lc_trt.evaluation.sweep import front as best

NONE = "-"


@dataclass(frozen=True)
class Table:
    """A table.

    Attributes:
        columns: column names.
        rows: one cell per column.
        first_published: index of the first column with published values; all later ones are too.
    """

    columns: tuple[str, ...]
    rows: tuple[tuple[str, ...], ...]
    first_published: int


def accuracy(evaluation: Evaluation) -> Table:
    """IoU per class and mean IoU, with published methods for VOC classes.

    Args:
        evaluation: the evaluation.
    """
    methods = published.METHODS if evaluation.classes == published.VOC.names else ()
    columns = ("class", "IoU %", *(method.title for method in methods))
    rows = [
        (name, _percent(value, "absent"), *(_number(method.class_iou(label)) for method in methods))
        for label, (name, value) in enumerate(zip(evaluation.classes, evaluation.iou, strict=True))
    ]
    rows.append(("mean", _percent(evaluation.miou), *(_number(method.miou) for method in methods)))
    return Table(columns, tuple(rows), 2)


def left_by_class(evaluation: Evaluation) -> Table:
    """Exit shares per class, with published examples for VOC classes.

    Args:
        evaluation: the evaluation of a cascade.
    """
    assert evaluation.stages is not None
    columns = ["class", "stage 1 %", "stage 2 %", "stage 3 %"]
    voc = evaluation.classes == published.VOC.names
    if voc:
        columns.append("published 1/2/3 %")
    rows = []
    for name, shares in zip(evaluation.classes, evaluation.stages.by_class, strict=True):
        row = [name, *_shares(shares)]
        if voc:
            published_shares = published.EXIT_SHARES_BY_CLASS.get(name)
            row.append(
                NONE if published_shares is None else "/".join(f"{v:.1f}" for v in published_shares)
            )
        rows.append(tuple(row))
    return Table(tuple(columns), tuple(rows), 4)


def near_boundary(evaluation: Evaluation) -> Table:
    """Share of the pixels exiting at each stage that lie near a class boundary.

    Args:
        evaluation: the evaluation of a cascade.
    """
    assert evaluation.stages is not None
    rows = [
        (name, NONE if ours is None else f"{100 * ours:.1f}", f"{theirs:.1f}")
        for name, ours, theirs in zip(
            ("easy (stage 1)", "moderate (stage 2)", "hard (stage 3)"),
            evaluation.stages.near_boundary,
            published.NEAR_BOUNDARY,
            strict=True,
        )
    ]
    return Table(("pixels", "near a boundary %", "published % (VOC12)"), tuple(rows), 2)


def thresholds(points: Sequence[Point]) -> Table:
    """Points with the same threshold at both boundaries, with the published values.

    Args:
        points: of a sweep.
    """
    rows = []
    for point in points:
        row = published.rho_row(point.rho)
        if row is not None:
            exited = "/".join(f"{share:g}" for share in row.exited)
            rows.append((f"{point.rho[0]:g}", *_metrics(point), exited, f"{row.miou:.2f}"))
    columns = ("rho", *_METRIC_COLUMNS, "published 1/2 %", f"published mIoU % ({published.VAL})")
    return Table(columns, tuple(rows), 1 + len(_METRIC_COLUMNS))


def front(points: Sequence[Point]) -> Table:
    """The Pareto front of time and mIoU.

    Args:
        points: of a sweep.
    """
    rows = [(f"{p.rho[0]:g}", f"{p.rho[1]:g}", *_metrics(p)) for p in best(points)]
    return Table(("rho 1", "rho 2", *_METRIC_COLUMNS), tuple(rows), 2 + len(_METRIC_COLUMNS))


def grid(points: Sequence[Point]) -> Table:
    """mIoU and milliseconds at all pairs: rows are first thresholds, columns second ones.

    Args:
        points: of a sweep over all pairs.
    """
    columns = ("rho 1 \\ rho 2", *(f"{rho:g}" for rho in THRESHOLDS))
    cells = {point.rho: f"{100 * point.miou:.1f} / {point.ms_per_image:.0f}" for point in points}
    rows = [(f"{one:g}", *(cells[one, two] for two in THRESHOLDS)) for one in THRESHOLDS]
    return Table(columns, tuple(rows), len(columns))


_METRIC_COLUMNS = ("stage 1 %", "stage 2 %", "stage 3 %", "mIoU %", "pixel acc. %", "ms per image")


def _metrics(point: Point) -> tuple[str, ...]:
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
