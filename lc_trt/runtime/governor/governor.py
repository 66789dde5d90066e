"""Holds a frame rate by adapting both thresholds along a tuned bundle's Pareto front."""

from __future__ import annotations

import logging
import threading
from collections.abc import Callable

from lc_trt.bundle.pareto_front import Pair
from lc_trt.errors import UsageError
from lc_trt.runtime.governor.load_estimator import LoadEstimator
from lc_trt.runtime.governor.operating_curve import OperatingCurve
from lc_trt.runtime.governor.threshold_policy import PolicyStatus, ThresholdPolicy

HEADROOM = 0.03  # of the frame period, for the time between two passes
_TOLERANCE = 0.03  # of the frame period: a rate missed by less counts as held
HOLD_OFF = 1.0  # seconds until ``held`` changes
_TICK = 1e-9  # seconds; a coarse clock may measure 0 for a pass
_SMOOTHING = 0.5  # seconds, time constant of the frame time that determines ``held``

log = logging.getLogger("lc_trt")


class Governor(ThresholdPolicy):
    """Chooses the thresholds of the next pass from the durations of earlier passes.

    `lc_trt.Segmenter.govern` creates one; pass it as ``rho``, one governor per stream. It does
    not read a clock: the caller records durations, so waiting for a camera, a decoder or a
    consumer does not cost quality.

    The ratio of measured to expected time (`LoadEstimator`) covers every cause of a slowdown: a
    different machine, different content, other processes. The next level is the highest at which
    the expected time, scaled by this ratio, fits the frame period, clipped to the bounds.

    Example:
        ```python
        governor = segmenter.govern(fps=25)
        with segmenter.stream(frames, governor) as results:
            for result in results:
                print(result.rho, governor.held)
        ```

    Attributes:
        curve: operating points to choose from.
        fps: target frames per second per source.
        level: current operating point, from 0 (fast setting) to 1 (quality bound).
        held: whether the target rate is held; False after a second at the fast setting without
            reaching it.
        episodes: how often the target rate was lost.
    """

    def __init__(
        self, curve: OperatingCurve, fps: float, *, tell: Callable[[str], None] = log.warning
    ) -> None:
        """Create a governor; see `lc_trt.Segmenter.govern`.

        Args:
            curve: operating points to choose from.
            fps: target frames per second per source.
            tell: called with a message when the rate can no longer be held, once per episode.

        Raises:
            UsageError: ``fps`` is not a positive number.
        """
        if not 0 < fps < float("inf"):
            raise UsageError(f"fps {fps}: expected a number above 0")
        self.curve, self.fps, self._tell = curve, fps, tell
        self.level = 0.0
        self.held = True
        self.episodes = 0
        self._sources = 1
        self._load = LoadEstimator()
        self._lock = threading.Lock()
        self._warm = False
        self._frame_time = 0.0  # seconds, smoothed
        self._contradicted = 0.0  # seconds for which the frame time has contradicted ``held``
        self._frames = self._missed = 0
        self._level_sum = 0.0
        self._update_level()

    @property
    def rho(self) -> Pair:
        """See `ThresholdPolicy.rho`."""
        return self.curve.rho(self.level)

    def set_sources(self, count: int) -> None:
        """See `ThresholdPolicy.set_sources`."""
        with self._lock:
            self._sources = max(1, count)
            self._update_level()

    def record(self, seconds: float, frames: int = 1) -> None:
        """Record a pass duration and update the level; see `ThresholdPolicy.record`."""
        with self._lock:
            self._frames += frames
            self._level_sum += frames * self.level
            if self._warm:  # the first pass includes one-off allocations
                self._update(seconds, frames)
            self._warm = True
            self._missed += 0 if self.held else frames

    def status(self) -> PolicyStatus:
        """See `ThresholdPolicy.status`."""
        with self._lock:
            frames = max(self._frames, 1)
            return PolicyStatus(
                target_fps=self.fps,
                level=self.level,
                held=self.held,
                held_share=1 - self._missed / frames,
                episodes=self.episodes,
                mean_level=self._level_sum / frames,
                fast=self.curve.rho(0.0),
                quality=self.curve.rho(1.0),
            )

    @property
    def _period(self) -> float:
        """Seconds per frame at the target rate, over all sources."""
        return 1 / (self.fps * self._sources)

    def _update(self, seconds: float, frames: int) -> None:
        per_frame = max(seconds, _TICK) / frames
        nominal = frames * self._period
        # The next pass does not start before its frames arrive.
        interval = max(seconds, nominal)
        self._load.update(per_frame * 1e3 / self.curve.ms(self.level), interval, nominal)
        gain = min(1.0, nominal / _SMOOTHING)
        self._frame_time += (gain if self._frame_time else 1.0) * (per_frame - self._frame_time)
        self._update_held(interval)
        self._update_level()

    def _update_level(self) -> None:
        budget = self._period * 1e3 * (1 - HEADROOM)
        self.level = self.curve.level(budget / self._load.value)

    def _update_held(self, interval: float) -> None:
        late = self.level == 0 and self._frame_time > self._period * (1 + _TOLERANCE)
        right = not late if self.held else self._frame_time > self._period
        self._contradicted = 0.0 if right else self._contradicted + interval
        if self._contradicted < HOLD_OFF:
            return
        self._contradicted, self.held = 0.0, not self.held
        if not self.held:
            self.episodes += 1
            reached = 1e3 / (self.curve.least * self._load.value) / self._sources
            self._tell(
                f"{self.fps:g} frames per second cannot be held: the network reaches {reached:.1f} "
                "at its fast thresholds"
            )
