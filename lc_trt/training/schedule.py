"""Which phase a step belongs to, and the learning rate of every step."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from itertools import accumulate

from lc_trt.training.config import Phase, Schedule


def factor(schedule: Schedule, step: int, steps: int) -> float:
    """What the peak rate is multiplied with at ``step`` (from 0) of a phase of ``steps``.

    poly is DeepLab's ``(1 - step / steps) ^ power``; every curve is multiplied with the linear
    warm-up.
    """
    done = step / steps
    warm = min(1.0, (step + 1) / max(1, schedule.warmup))
    if schedule.name == "poly":
        return float(warm * (1.0 - done) ** schedule.power)
    if schedule.name == "step":
        drops = sum(done >= milestone for milestone in schedule.milestones)
        return float(warm * schedule.gamma**drops)
    return warm


@dataclass(frozen=True)
class Span:
    """A phase's place in a run.

    Attributes:
        start, end: its first step, and the first one after it.
    """

    phase: Phase
    start: int
    end: int

    def rate(self, step: int) -> float:
        """The trunk's learning rate at one of its steps, counted from the run's first."""
        peak = self.phase.optimizer.rate
        return peak * factor(self.phase.schedule, step - self.start, self.end - self.start)


class RunSchedule:
    """The phases of a run, one after the other.

    Attributes:
        steps: of all of them.
    """

    def __init__(self, phases: Sequence[Phase], steps_per_epoch: int) -> None:
        ends = list(accumulate(phase.epochs * steps_per_epoch for phase in phases))
        self._spans = [
            Span(phase, start, end)
            for phase, start, end in zip(phases, [0, *ends], ends, strict=False)
        ]
        self.steps = ends[-1]

    def at(self, step: int) -> Span:
        """Where ``step``, from 0, belongs; the last phase once all are done."""
        return next((span for span in self._spans if step < span.end), self._spans[-1])

    def begins(self, step: int) -> bool:
        """Whether a phase other than the first begins with ``step``."""
        return 0 < step == self.at(step).start

    def ends(self, step: int) -> bool:
        """Whether a phase is over once ``step`` steps are done."""
        return any(step == span.end for span in self._spans)
