"""The learning rate of every step of a phase."""

from __future__ import annotations

from lc_trt.training.config import Schedule


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
