"""Thresholds per class at which all classes have the same share of labels that exits change."""

from __future__ import annotations

import numpy as np
import numpy.typing as npt

Floats = npt.NDArray[np.float64]

# Bins of 1 - p, geometric: the share that changes is about proportional to it.
LARGEST_DOUBT, SMALLEST_DOUBT, BINS = 1.0, 1e-4, 40
PRIOR = 30.0  # cells of each bin that a class borrows from all classes together
LOWEST, HIGHEST = 0.02, 0.9995  # thresholds


class DisagreementCounts:
    """Counts cells, and the labels among them that change, by class and largest probability.

    Args:
        classes: number of classes.
    """

    def __init__(self, classes: int) -> None:
        # The first bin holds doubts below SMALLEST_DOUBT.
        self._edges = np.geomspace(SMALLEST_DOUBT, LARGEST_DOUBT, BINS)
        self.cells = np.zeros((classes, BINS + 1))
        self.changed = np.zeros((classes, BINS + 1))

    def add(
        self,
        label: npt.NDArray[np.int64],
        largest: npt.NDArray[np.float32],
        kept: npt.NDArray[np.float32],
    ) -> None:
        """Add cells.

        Args:
            label: class of the largest probability, int64 of any shape.
            largest: largest probability, of the same shape.
            kept: share of the cell's labels that stay if it exits, of the same shape.
        """
        bins = np.searchsorted(self._edges, 1 - largest.ravel())
        place = label.ravel() * (BINS + 1) + bins
        size, shape = self.cells.size, self.cells.shape
        self.cells += np.bincount(place, minlength=size).reshape(shape)
        self.changed += np.bincount(place, 1 - kept.ravel(), size).reshape(shape)

    def thresholds(self, reference: float) -> Floats:
        """The threshold of each class.

        Sending on the cells with the largest expected share of changed labels first is what
        changes fewest labels with a given number of cells. So each class's threshold is where its
        cells change as often as those of all classes together do at ``reference``. In a class,
        the share is made non-decreasing in 1 - p (isotonic regression), and each of its bins
        borrows `PRIOR` cells from the same bin of all classes.

        Args:
            reference: threshold of all classes together.

        Returns:
            float64 [K].
        """
        cells, changed = self.cells.sum(0), self.changed.sum(0)
        overall = _non_decreasing(changed / np.maximum(cells, 1), cells)
        doubt = np.concatenate([[SMALLEST_DOUBT / 2], np.sqrt(self._edges[1:] * self._edges[:-1])])
        doubt = np.concatenate([doubt, [LARGEST_DOUBT]])
        level = np.interp(np.log(1 - reference), np.log(doubt), overall)
        thresholds = []
        for count, changes in zip(self.cells, self.changed, strict=True):
            weight = count + PRIOR
            share = _non_decreasing((changes + PRIOR * overall) / weight, weight)
            # np.interp wants strictly increasing shares: a tiny slope breaks ties.
            share = share + 1e-9 * np.arange(len(share))
            crossing = np.interp(level, share, np.log(doubt))
            thresholds.append(np.clip(1 - np.exp(crossing), LOWEST, HIGHEST))
        return np.array(thresholds)


def _non_decreasing(values: Floats, weights: Floats) -> Floats:
    """Weighted isotonic regression by pooling adjacent violators."""
    blocks: list[tuple[float, float, int]] = []  # value, weight, length
    for value, weight in zip(values.tolist(), weights.tolist(), strict=True):
        block = (value, max(weight, 1e-9), 1)
        while blocks and blocks[-1][0] >= block[0]:
            before = blocks.pop()
            total = before[1] + block[1]
            mean = (before[0] * before[1] + block[0] * block[1]) / total
            block = (mean, total, before[2] + block[2])
        blocks.append(block)
    return np.concatenate([np.full(length, value) for value, _, length in blocks])
