"""Threshold policies: choose the thresholds of each pass, fixed or adaptive."""

from __future__ import annotations

from abc import ABC, abstractmethod
from dataclasses import dataclass
from typing import Any

from lc_trt.bundle.pareto_front import Pair


@dataclass(frozen=True)
class PolicyStatus:
    """State of a policy that holds a frame rate.

    Attributes:
        target_fps: target frames per second per source.
        level: current operating point, from 0 (fast setting) to 1 (quality bound).
        held: whether the target rate is held.
        held_share: share of the frames so far with the rate held, 0 to 1.
        episodes: how often the target rate was lost.
        mean_level: mean level over the frames so far.
        fast, quality: thresholds at levels 0 and 1.
    """

    target_fps: float
    level: float
    held: bool
    held_share: float
    episodes: int
    mean_level: float
    fast: Pair
    quality: Pair

    def summary(self) -> dict[str, Any]:
        """Summary of a run as JSON values; see docs/governor.md."""
        return {
            "target_fps": self.target_fps,
            "held": round(self.held_share, 4),
            "episodes": self.episodes,
            "mean_level": round(self.mean_level, 4),
            "fast": list(self.fast),
            "quality": list(self.quality),
        }


class ThresholdPolicy(ABC):
    """Chooses the thresholds of each pass; one per stream."""

    @property
    @abstractmethod
    def rho(self) -> Pair | None:
        """Thresholds of boundaries 1|2 and 2|3 for the next pass; None for a dense network."""

    @abstractmethod
    def record(self, seconds: float, frames: int = 1) -> None:
        """Record the duration of a pass with `rho`.

        Args:
            seconds: time that limits the rate: of the engine if reading and drawing overlap with
                it, else of the whole call.
            frames: frames in the pass.
        """

    @abstractmethod
    def set_sources(self, count: int) -> None:
        """Set the number of sources that share the passes.

        Args:
            count: sources that have not ended.
        """

    @abstractmethod
    def status(self) -> PolicyStatus | None:
        """State of the frame rate; None for a policy without a target rate."""


class FixedThresholds(ThresholdPolicy):
    """The same thresholds for every pass."""

    def __init__(self, rho: Pair | None) -> None:
        """Create the policy.

        Args:
            rho: thresholds of boundaries 1|2 and 2|3; None for a dense network.
        """
        self._rho = rho

    @property
    def rho(self) -> Pair | None:
        """See `ThresholdPolicy.rho`."""
        return self._rho

    def record(self, seconds: float, frames: int = 1) -> None:
        """Does nothing."""

    def set_sources(self, count: int) -> None:
        """Does nothing."""

    def status(self) -> None:
        """None: there is no target rate."""
