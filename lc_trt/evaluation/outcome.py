"""The result of an evaluation, which the report and the command line show."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

from lc_trt.data.classes import ClassSet
from lc_trt.evaluation.evaluate import Evaluation
from lc_trt.evaluation.sweep import Point


@dataclass(frozen=True)
class Outcome:
    """Result of an evaluation.

    Attributes:
        model: name of the network.
        classes: its classes.
        backend: name and version of the backend.
        size: input (height, width) in pixels.
        rho: thresholds of ``evaluation``; None for a dense network.
        data: names of the data set's folder and the split.
        evaluation: metrics at ``rho``.
        points: metrics of the sweep; empty without one.
        grid: whether the sweep covers all pairs of thresholds.
        environment: the machine.
        command: the command that reproduces it.
    """

    model: str
    classes: ClassSet
    backend: str
    size: tuple[int, int]
    rho: tuple[float, float] | None
    data: str
    evaluation: Evaluation
    points: Sequence[Point]
    grid: bool
    environment: dict[str, Any]
    command: str

    def as_dict(self) -> dict[str, Any]:
        """Values for ``--json``."""
        return {
            "model": self.model,
            "backend": self.backend,
            "size": list(self.size),
            "rho": None if self.rho is None else list(self.rho),
            "data": self.data,
            **self.evaluation.as_dict(),
            "sweep": [point.as_dict() for point in self.points] or None,
            "environment": self.environment,
            "command": self.command,
        }
