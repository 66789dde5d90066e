"""Holds a frame rate: moves both thresholds along a tuned bundle's front, pass by pass."""

from __future__ import annotations

import logging
import threading
from collections.abc import Callable
from typing import Any

from lc_trt.bundle.pareto_front import Pair
from lc_trt.errors import UsageError
from lc_trt.runtime.governor.load_estimator import LoadFactor
from lc_trt.runtime.governor.operating_curve import Course

HEADROOM = 0.03  # of a frame's time, for what lies between two passes
_LATE = 0.03  # over a frame's time: a rate that is missed by less is held
_PATIENCE = 1.0  # seconds until that is said, or taken back
_TICK = 1e-9  # seconds; a clock may show none for a pass
_SMOOTH = 0.5  # seconds, time constant of the time by which that is judged

log = logging.getLogger("lc_trt")


class Governor:
    """Thresholds for the next pass, from how long the passes before it took.

    `lc_trt.Segmenter.govern` makes one; give it as ``rho`` wherever thresholds are taken, one
    governor a stream. It reads no clock: it is told what passes took, and so waiting for a camera,
    for a decoder or for whoever draws is no reason to lose quality.

    Every pass shows how much slower it was than the front says (`LoadFactor`), whatever slows it:
    another machine, other content, other work on the same cores. The level for the next pass is
    where the front, slowed down alike, just fits into a frame's time, and the nearest bound where
    nothing does.

    Example:
        ```python
        governor = segmenter.govern(fps=25)
        with segmenter.stream(frames, governor) as results:
            for result in results:
                print(result.rho, governor.held)
        ```

    Attributes:
        course: the thresholds it moves over.
        fps: frames a second to hold, of each source.
        level: where it is, 0 at the fast setting and 1 at the quality bound.
        held: whether the rate can be held; False after a second without success at the fast
            setting.
        episodes: times that it could not.
    """

    def __init__(
        self, course: Course, fps: float, *, tell: Callable[[str], None] = log.warning
    ) -> None:
        """See `lc_trt.Segmenter.govern`."""
        if not 0 < fps < float("inf"):
            raise UsageError(f"fps {fps}: expected a number above 0")
        self.course, self.fps, self._tell = course, fps, tell
        self.level = 0.0
        self.held = True
        self.episodes = 0
        self._sources = 1
        self._factor = LoadFactor()
        self._lock = threading.Lock()
        self._began = False
        self._time = 0.0  # seconds a frame, smoothed
        self._wrong = 0.0  # seconds for which ``held`` has not been the case
        self._frames = self._late = 0
        self._levels = 0.0
        self._move()

    @property
    def rho(self) -> Pair:
        """Thresholds of the next pass."""
        return self.course.rho(self.level)

    def share_among(self, sources: int) -> None:
        """So many sources, at least one, come at the rate at once from now on."""
        with self._lock:
            self._sources = max(1, sources)
            self._move()

    def took(self, seconds: float, frames: int = 1) -> None:
        """A pass at `rho` took so long; moves the level.

        Args:
            seconds: the time that decides the rate: of the engine where reading and drawing happen
                meanwhile, of the whole call where they do not.
            frames: frames that it brought.
        """
        with self._lock:
            self._frames += frames
            self._levels += frames * self.level
            if self._began:  # the first pass prepares what later ones find ready
                self._follow(seconds, frames)
            self._began = True
            self._late += 0 if self.held else frames

    def summary(self) -> dict[str, Any]:
        """What a run's report says, as JSON values: see docs/governor.md."""
        frames = max(self._frames, 1)
        return {
            "target_fps": self.fps,
            "held": round(1 - self._late / frames, 4),
            "episodes": self.episodes,
            "mean_level": round(self._levels / frames, 4),
            "fast": list(self.course.rho(0.0)),
            "quality": list(self.course.rho(1.0)),
        }

    @property
    def _target(self) -> float:
        """Seconds a frame."""
        return 1 / (self.fps * self._sources)

    def _follow(self, seconds: float, frames: int) -> None:
        each = max(seconds, _TICK) / frames
        nominal = frames * self._target
        # The next pass does not begin before its frames have come.
        lasted = max(seconds, nominal)
        self._factor.add(each * 1e3 / self.course.ms(self.level), lasted, nominal)
        gain = min(1.0, nominal / _SMOOTH)
        self._time += (gain if self._time else 1.0) * (each - self._time)
        self._judge(lasted)
        self._move()

    def _move(self) -> None:
        budget = self._target * 1e3 * (1 - HEADROOM)
        self.level = self.course.level(budget / self._factor.value)

    def _judge(self, lasted: float) -> None:
        late = self.level == 0 and self._time > self._target * (1 + _LATE)
        right = not late if self.held else self._time > self._target
        self._wrong = 0.0 if right else self._wrong + lasted
        if self._wrong < _PATIENCE:
            return
        self._wrong, self.held = 0.0, not self.held
        if not self.held:
            self.episodes += 1
            reached = 1e3 / (self.course.least * self._factor.value) / self._sources
            self._tell(
                f"{self.fps:g} frames a second cannot be held: the network reaches {reached:.1f} "
                "at its fast thresholds"
            )
