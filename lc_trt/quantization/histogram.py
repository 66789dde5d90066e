"""Histograms of magnitudes in constant memory."""

from __future__ import annotations

import math
from dataclasses import dataclass, field

import cv2
import numpy as np
import numpy.typing as npt

BINS = 4096
_SMALLEST_LIMIT = 2.0**-40
_EXACT = 1 << 24  # OpenCV counts in float32, which is exact up to here


def _no_counts() -> npt.NDArray[np.int64]:
    return np.zeros(BINS, np.int64)


@dataclass
class Histogram:
    """Counts per magnitude; zeros are counted separately, since INT8 represents 0 exactly.

    The upper limit is a power of two: when a larger value occurs, the limit doubles and pairs of
    bins are merged. The counts do not depend on the order of the values.

    Attributes:
        counts: int64 [BINS]; bin i holds magnitudes from i to i + 1 times `width`, without 0.
        limit: upper end of the last bin; 0 before the first value other than 0.
        low: smallest value, at most 0.
        high: largest value, at least 0.
        total: number of values.
        zeros: number of values that are 0.
    """

    counts: npt.NDArray[np.int64] = field(default_factory=_no_counts)
    limit: float = 0.0
    low: float = 0.0
    high: float = 0.0
    total: int = 0
    zeros: int = 0

    def add(self, values: npt.NDArray[np.float32]) -> None:
        """Count values.

        Args:
            values: float32 of any shape.

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
        self._extend(largest)
        if low < 0:
            flat = np.abs(flat)
        for start in range(0, flat.size, _EXACT):
            chunk = flat[start : start + _EXACT]
            zeros = chunk.size - int(np.count_nonzero(chunk))
            counts = cv2.calcHist([chunk.reshape(1, -1)], [0], None, [BINS], [0.0, self.limit])
            self.counts += counts.reshape(-1).astype(np.int64)
            self.counts[0] -= zeros
            self.zeros += zeros

    def _extend(self, largest: float) -> None:
        """Double the limit until it exceeds ``largest``."""
        if not self.limit:
            self.limit = _SMALLEST_LIMIT
        while self.limit <= largest:
            pairs = self.counts.reshape(-1, 2).sum(axis=1)
            self.counts = np.concatenate([pairs, np.zeros(BINS // 2, np.int64)])
            self.limit *= 2

    @property
    def width(self) -> float:
        """Width of a bin."""
        return self.limit / BINS
