"""Maps training steps to phases and learning rates."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from itertools import accumulate

from lc_trt.training.config import Phase, Schedule


def rate_factor(schedule: Schedule, step: int, steps: int) -> float:
    """Learning rate relative to its peak.

    ``poly`` is DeepLab's ``(1 - step / steps) ^ power``. Linear warm-up multiplies every schedule.

    Args:
        schedule: the ``schedule`` section of a phase.
        step: of the phase, from 0.
        steps: length of the phase.

    Returns:
        Factor in (0, 1].
    """
    progress = step / steps
    warm = min(1.0, (step + 1) / max(1, schedule.warmup))
    if schedule.name == "poly":
        return float(warm * (1.0 - progress) ** schedule.power)
    if schedule.name == "step":
        drops = sum(progress >= milestone for milestone in schedule.milestones)
        return float(warm * schedule.gamma**drops)
    return warm


@dataclass(frozen=True)
class Span:
    """The steps of a phase.

    Attributes:
        phase: its configuration.
        start: its first step.
        end: the first step after it.
    """

    phase: Phase
    start: int
    end: int

    def rate(self, step: int) -> float:
        """Learning rate of the trunk.

        Args:
            step: of the run, from 0.
        """
        peak = self.phase.optimizer.rate
        return peak * rate_factor(self.phase.schedule, step - self.start, self.end - self.start)


class RunSchedule:
    """The phases of a run in order.

    Args:
        phases: their configurations.
        steps_per_epoch: batches per pass over the training split.

    Attributes:
        steps: total number of steps.
    """

    def __init__(self, phases: Sequence[Phase], steps_per_epoch: int) -> None:
        ends = list(accumulate(phase.epochs * steps_per_epoch for phase in phases))
        self._spans = [
            Span(phase, start, end)
            for phase, start, end in zip(phases, [0, *ends], ends, strict=False)
        ]
        self.steps = ends[-1]

    def span_at(self, step: int) -> Span:
        """The phase of a step; after the end, the last one.

        Args:
            step: of the run, from 0.
        """
        return next((span for span in self._spans if step < span.end), self._spans[-1])

    def starts_phase(self, step: int) -> bool:
        """Whether a phase other than the first starts with a step.

        Args:
            step: of the run, from 0.
        """
        return 0 < step == self.span_at(step).start

    def ends_phase(self, step: int) -> bool:
        """Whether a phase ends after some steps.

        Args:
            step: number of steps.
        """
        return any(step == span.end for span in self._spans)
