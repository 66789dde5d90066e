"""Where a pass gets its thresholds from: fixed thresholds, or a policy that adapts them."""

from __future__ import annotations

from abc import ABC, abstractmethod
from dataclasses import dataclass
from typing import Any

from lc_trt.bundle.pareto_front import Pair


@dataclass(frozen=True)
class PolicyStatus:
    """How well a policy that holds a frame rate does.

    Attributes:
        target_fps: frames per second to hold, of each source.
        level: where the thresholds are, 0 at the fast setting and 1 at the quality bound.
        held: whether the rate can be held now.
        held_share: share of the frames so far while it could, 0 to 1.
        episodes: how often it could not.
        mean_level: over the frames so far.
        fast, quality: the thresholds at levels 0 and 1.
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
        """The report of a whole run, as JSON values: see docs/governor.md."""
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
        """Record the duration of a pass at `rho`.

        Args:
            seconds: the time that decides the rate: of the engine where reading and drawing
                overlap with it, of the whole call where they do not.
            frames: frames in the pass.
        """

    @abstractmethod
    def set_sources(self, count: int) -> None:
        """Set how many sources share the passes from now on.

        Args:
            count: sources that have not ended.
        """

    @abstractmethod
    def status(self) -> PolicyStatus | None:
        """How well a frame rate is held; None for a policy that holds none."""


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
        """Durations change nothing."""

    def set_sources(self, count: int) -> None:
        """The number of sources changes nothing."""

    def status(self) -> None:
        """No frame rate is held."""
