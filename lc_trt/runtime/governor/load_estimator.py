"""How much slower than expected passes are: a mean that is calm, and quick at a step."""

from __future__ import annotations

import math
from collections import deque
from statistics import median

CALM, QUICK = 1.5, 0.2  # seconds, time constants of the mean and of the search for steps
_MOST_GAIN = 0.5  # of one pass: all of it would overshoot where time reacts more than expected
_LEAST_STEP = 0.02  # of the factor
_SIGNIFICANT = 4.0  # standard deviations
_MOST_NOISE = 0.15  # mean deviation: after a wild time, too, steps have to show within a second
_MOST = 3.0  # times the factor: what a single pass can count for
_RARE = 0.2  # seconds a pass, from which on no pass is spared for being an outlier


class LoadFactor:
    """Follows the ratio of measured to expected time.

    A mean with a long memory gives what counts for throughput, and hardly moves with noise. Beside
    it a short memory looks for steps: where the median of the latest ratios has left what is usual
    by more than noise explains, the factor jumps with it. (A filter whose memory shortens at a
    change is the usual way out: F. Gustafsson, Adaptive Filtering and Change Detection, 2000.)

    Attributes:
        value: the factor; 1 is as expected.
    """

    def __init__(self) -> None:
        self.value = 1.0
        self._usual = 0.0  # logarithm of the usual median ratio
        self._off = 0.0  # how far the latest ones are from that
        self._noise = 0.05  # mean deviation of a single one
        self._latest: deque[float] = deque(maxlen=3)
        self._passes = 0

    def add(self, ratio: float, seconds: float, nominal: float) -> None:
        """Count a pass.

        Args:
            ratio: measured over expected time, above 0.
            seconds: from this pass to the next: with few passes a second each counts for more.
            nominal: what that should be. Passes count alike in the mean, or slow ones would count
                twice.
        """
        self._passes += 1
        self._latest.append(ratio)
        found = math.log(median(self._latest) if nominal < _RARE else ratio)
        quick = min(1 - math.exp(-seconds / QUICK), _MOST_GAIN)
        self._off += quick * (found - self._usual - self._off)
        # 1.25: from the mean to the standard deviation of a normal distribution.
        spread = 1.25 * self._noise * math.sqrt(quick / (2 - quick))
        limit = max(_LEAST_STEP, _SIGNIFICANT * spread)
        if abs(self._off) > limit:
            self.value *= math.exp(self._off)
            self._usual += self._off
            self._off = 0.0
            return
        # The first passes make a mean of their own, not one with the value it began with; and what
        # may yet turn out a step has the memory shorten already, to half of it halfway there.
        calm = max(1 - math.exp(-nominal / CALM), 1 / (self._passes + 1))
        calm = min(calm * (1 + (2 * self._off / limit) ** 4), quick)
        self.value += calm * (min(ratio, _MOST * self.value) - self.value)
        deviation = abs(math.log(ratio) - self._usual)
        deviation = min(deviation, _MOST * self._noise + 0.01, _MOST_NOISE)
        self._noise += calm * (deviation - self._noise)
        self._usual += calm * (found - self._usual)
