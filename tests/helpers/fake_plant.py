"""A simulated network: the duration of a pass by thresholds, content, load and noise."""

from __future__ import annotations

from dataclasses import dataclass, replace

import numpy as np
from fake_engine import FakeClock

from lc_trt.bundle.pareto_front import Front, FrontPoint
from lc_trt.runtime.engines.base import EngineOutput
from lc_trt.runtime.governor.governor import Governor
from lc_trt.runtime.governor.operating_curve import OperatingCurve, find_operating_curve

FAST, TOP = (0.35, 0.0), (0.995, 0.995)
COST = (20.0, 35.0, 45.0)  # milliseconds: stage 1, and stages 2 and 3 on all pixels


@dataclass
class Plant:
    """Pixels exit by two independent confidences with the distribution c ** exponent.

    Attributes:
        hard: exponents of stage 1 and 2; the larger, the fewer pixels exit.
        load: factor of all times.
        noise: standard deviation of the logarithm of a pass's duration.
        spikes: share of passes that take three times as long.
    """

    hard: tuple[float, float] = (6.0, 3.0)
    load: float = 1.0
    noise: float = 0.0
    spikes: float = 0.0
    seed: int = 0

    def __post_init__(self) -> None:
        self.rng = np.random.default_rng(self.seed)

    def reached(self, rho: tuple[float, float]) -> tuple[float, float]:
        """Shares of the pixels that stages 2 and 3 compute."""
        second = rho[0] ** self.hard[0]
        return second, second * rho[1] ** self.hard[1]

    def ms(self, rho: tuple[float, float]) -> float:
        """Without load and noise."""
        second, third = self.reached(rho)
        return COST[0] + COST[1] * second + COST[2] * third

    def seconds(self, rho: tuple[float, float]) -> float:
        """One pass."""
        spike = 3.0 if self.rng.random() < self.spikes else 1.0
        return (
            self.load * self.ms(rho) / 1e3 * float(np.exp(self.rng.normal(0, self.noise))) * spike
        )


def tuned(plant: Plant | None = None, steps: int = 7) -> Front:
    """The Pareto front of such a network."""
    plant = plant or Plant()
    pairs = [(float(r), FAST[1]) for r in np.linspace(FAST[0], TOP[0], steps)]
    pairs += [(TOP[0], float(r)) for r in np.linspace(FAST[1], TOP[1], steps)[1:]]
    points = []
    for k, rho in enumerate(pairs):
        second, third = plant.reached(rho)
        shares = (1 - second, second - third, third)
        ms = plant.ms(rho) + 1e-3 * k  # rising, also where thresholds change nothing
        points.append(FrontPoint(rho, ms, ms, 0.5 + 0.03 * k, shares))
    return Front(tuple(points), TOP, "mIoU", 8, "drawn")


def curve() -> OperatingCurve:
    """The operating curve of `tuned`."""
    return find_operating_curve(tuned())


@dataclass
class Run:
    """A governed run, one entry per frame: seconds since its start, duration and level."""

    at: np.ndarray
    seconds: np.ndarray
    levels: np.ndarray

    def between(self, start: float, end: float = np.inf) -> Run:
        """The frames from ``start`` seconds to ``end``."""
        part = (self.at >= start) & (self.at < end)
        return Run(self.at[part], self.seconds[part], self.levels[part])

    @property
    def fps(self) -> float:
        """Frames per second of busy time."""
        return len(self.seconds) / float(self.seconds.sum())

    @property
    def swing(self) -> float:
        """Difference of the highest and lowest level, relative to the range."""
        return float(np.ptp(self.levels))


def drive(governor: Governor, plant: Plant, seconds: float, frames: int = 1) -> Run:
    """Run passes back to back for a number of simulated seconds."""
    now, at, took, levels = 0.0, [], [], []
    while now < seconds:
        level = governor.level
        passed = plant.seconds(governor.rho) * frames
        governor.record(passed, frames)
        at.append(now)
        took.append(passed / frames)
        levels.append(level)
        now += passed
    return Run(np.array(at), np.array(took), np.array(levels))


class CostlyStages:
    """Makes a toy cascade take `COST` on a clock, and mislabel half of what exits at stage 1.

    Args:
        clock: advanced by each pass.
    """

    def __init__(self, clock: FakeClock) -> None:
        self.clock = clock

    def __call__(self, output: EngineOutput) -> EngineOutput:
        """Alter the output of a pass, as `fake_backends.WrappedBackend` takes it."""
        stages = output.stages
        if stages is None:
            return output
        second, third = (float((stages >= stage).mean()) for stage in (2, 3))
        self.clock.now += (COST[0] + COST[1] * second + COST[2] * third) / 1e3
        height, width = output.labels.shape[1:]
        wrong = (stages == 1).repeat(8, 1).repeat(8, 2)[:, :height, :width]
        wrong[:, ::2] = False
        return replace(output, labels=np.where(wrong, (output.labels + 1) % 4, output.labels))
