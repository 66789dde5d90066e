"""Counts of magnitudes that take the same memory however many values are added."""

from __future__ import annotations

import math
from dataclasses import dataclass, field

import cv2
import numpy as np
import numpy.typing as npt

BINS = 4096
_SMALLEST = 2.0**-40  # the first limit, where all values so far are tiny
_EXACT = 1 << 24  # OpenCV counts in float32, which is exact up to here


def _no_counts() -> npt.NDArray[np.int64]:
    return np.zeros(BINS, np.int64)


@dataclass
class Histogram:
    """How often each magnitude occurred; zeros are counted apart, since 0 is always exact.

    The upper limit is a power of two: when a larger value comes, it is doubled and neighbouring
    bins become one. So the counts do not depend on the order in which values came.

    Attributes:
        counts: int64 [BINS]; bin i holds i to i + 1 parts of ``limit / BINS``, without 0.
        limit: upper end of the last bin; 0 before a value other than 0 came.
        low, high: smallest and largest value, 0 included.
        total: values in all; ``zeros`` of them are 0.
    """

    counts: npt.NDArray[np.int64] = field(default_factory=_no_counts)
    limit: float = 0.0
    low: float = 0.0
    high: float = 0.0
    total: int = 0
    zeros: int = 0

    def add(self, values: npt.NDArray[np.float32]) -> None:
        """Count float32 values of any shape.

        Raises:
            ValueError: one of them is NaN or infinite.
        """
        flat = np.ascontiguousarray(values, np.float32).reshape(-1)
        if not flat.size:
            return
        low, high = float(flat.min()), float(flat.max())
        if not (math.isfinite(low) and math.isfinite(high)):
            raise ValueError("a value is NaN or infinite")
        self.low, self.high = min(self.low, low), max(self.high, high)
        self.total += flat.size
        largest = max(-low, high)
        if largest == 0.0:
            self.zeros += flat.size
            return
        self._reach(largest)
        if low < 0:
            flat = np.abs(flat)
        for start in range(0, flat.size, _EXACT):
            part = flat[start : start + _EXACT]
            zeros = part.size - int(np.count_nonzero(part))
            counted = cv2.calcHist([part.reshape(1, -1)], [0], None, [BINS], [0.0, self.limit])
            self.counts += counted.reshape(-1).astype(np.int64)
            self.counts[0] -= zeros
            self.zeros += zeros

    def _reach(self, largest: float) -> None:
        """Double the limit until ``largest`` is below it."""
        if not self.limit:
            self.limit = _SMALLEST
        while self.limit <= largest:
            pairs = self.counts.reshape(-1, 2).sum(axis=1)
            self.counts = np.concatenate([pairs, np.zeros(BINS // 2, np.int64)])
            self.limit *= 2

    @property
    def width(self) -> float:
        """Of a bin."""
        return self.limit / BINS
