"""Made-up results of evaluations, for reports and figures."""

from __future__ import annotations

from dataclasses import replace

from lc_trt.data.classes import CLASS_SETS, ClassSet
from lc_trt.evaluation.evaluate import Evaluation
from lc_trt.evaluation.outcome import Outcome
from lc_trt.evaluation.stages import StageFigures
from lc_trt.evaluation.sweep import Point, pairs

NAN = float("nan")
STREET = ClassSet(
    "street", ("sky", "<b>road", "car"), ((70, 130, 180), (128, 64, 128), (0, 0, 142))
)
VOC = CLASS_SETS["voc"]


def evaluation(classes: ClassSet = STREET, *, dense: bool = False) -> Evaluation:
    """The last class never occurs, and no pixel exits at stage 2."""
    count = len(classes)
    return Evaluation(
        images=2,
        classes=classes.names,
        iou=(*[0.5 + 0.01 * k for k in range(count - 1)], NAN),
        miou=0.4321,
        pixel_accuracy=0.8765,
        shares=None if dense else (0.25, 0, 0.75),
        ms_per_image=12.34,
        stages=None
        if dense
        else StageFigures((*[(0.25, 0.0, 0.75)] * (count - 1), None), (0.067, None, 0.68)),
    )


def points(grid: bool = False) -> list[Point]:
    """Slower is better."""
    return [
        Point((a, b), (1 - a / 2, 0, a / 2), 0.5 + (a + b) / 10, 0.9, ms, ms - 1)
        for a, b in pairs(grid)
        for ms in [20 + 100 * a + 10 * b]
    ]


def outcome(classes: ClassSet = STREET, *, dense: bool = False, grid: bool = False) -> Outcome:
    """Without a sweep, or with one of all pairs."""
    return Outcome(
        model="irnet-small",
        classes=classes,
        backend="openvino 2026.4",
        size=(300, 500),
        rho=None if dense else (0.985, 0.9),
        data="street val",
        evaluation=evaluation(classes, dense=dense),
        points=points(True) if grid else [],
        grid=grid,
        environment={"cpu": "A CPU", "cores": 2, "threads": 1, "versions": {"lc-trt": "0.1.0"}},
        command="lc-trt eval model.lct --data street",
    )


def swept(classes: ClassSet = STREET) -> Outcome:
    """With a sweep of one threshold."""
    return replace(outcome(classes), points=points())
