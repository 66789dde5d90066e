"""Estimates the slowdown of passes: a moving average with change-point detection."""

from __future__ import annotations

import math
from collections import deque
from statistics import median

LONG, SHORT = 1.5, 0.2  # seconds, time constants of the average and of the change detector
_MAX_GAIN = 0.5  # of one pass; more overshoots if the time reacts more strongly than expected
_MIN_STEP = 0.02  # of the factor, relative
_SIGNIFICANT = 4.0  # standard deviations
_MAX_DEVIATION = (
    0.15  # mean; bounded so that a step is detected within a second after erratic passes too
)
_MAX_RATIO = 3.0  # times the factor; larger ratios of a single pass are clipped
_RARE = 0.2  # seconds per pass; passes at least this long are never discarded as outliers


class LoadEstimator:
    """Estimates the ratio of measured to expected time.

    An exponential moving average with a long time constant estimates the mean, which determines
    throughput, and is robust to noise. A second one with a short time constant detects changes:
    if the median of the latest ratios drifts from its baseline by more than the noise explains,
    the factor follows at once (F. Gustafsson, Adaptive Filtering and Change Detection, 2000).

    Attributes:
        value: estimated ratio of measured to expected time.
    """

    def __init__(self) -> None:
        self.value = 1.0
        self._baseline = 0.0  # logarithm of the median ratio
        self._drift = 0.0  # of the latest ratios from the baseline, smoothed
        self._deviation = 0.05  # mean absolute deviation of a single ratio
        self._latest: deque[float] = deque(maxlen=3)
        self._passes = 0

    def update(self, ratio: float, interval: float, nominal: float) -> None:
        """Update the estimate with a pass.

        Args:
            ratio: measured over expected time, above 0.
            interval: seconds from this pass to the next, its weight in the change detector.
            nominal: expected seconds from this pass to the next, its weight in the average; with
                the actual interval, slow passes would count twice.
        """
        self._passes += 1
        self._latest.append(ratio)
        current = math.log(median(self._latest) if nominal < _RARE else ratio)
        short = min(1 - math.exp(-interval / SHORT), _MAX_GAIN)
        self._drift += short * (current - self._baseline - self._drift)
        # 1.25: ratio of standard to mean absolute deviation of a normal distribution.
        spread = 1.25 * self._deviation * math.sqrt(short / (2 - short))
        limit = max(_MIN_STEP, _SIGNIFICANT * spread)
        if abs(self._drift) > limit:
            self.value *= math.exp(self._drift)
            self._baseline += self._drift
            self._drift = 0.0
            return
        # The first passes are averaged without the initial value. A drift below the limit shortens
        # the time constant, by half at half of the limit, because it may prove to be a change.
        long = max(1 - math.exp(-nominal / LONG), 1 / (self._passes + 1))
        long = min(long * (1 + (2 * self._drift / limit) ** 4), short)
        self.value += long * (min(ratio, _MAX_RATIO * self.value) - self.value)
        deviation = abs(math.log(ratio) - self._baseline)
        deviation = min(deviation, _MAX_RATIO * self._deviation + 0.01, _MAX_DEVIATION)
        self._deviation += long * (deviation - self._deviation)
        self._baseline += long * (current - self._baseline)
