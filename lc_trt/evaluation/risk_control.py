"""Bounds on the mean of losses in [0, 1], to choose a point of a path: statistics without I/O.

A path orders points from the cheapest to the safest. Column k of ``losses`` holds the losses of n
images at point k, made non-increasing along the path by `running_maximum`. Points are accepted from
the safest on; the one before the first rejection is chosen (`cheapest_accepted`).

The bounds hold for a path that was chosen without the n images.
"""

from __future__ import annotations

import math
from abc import ABC, abstractmethod
from dataclasses import dataclass

import numpy as np
import numpy.typing as npt

Floats = npt.NDArray[np.float64]
MOST_IMAGES = 1_000_000
_STEPS = 50  # of a bisection of [0, 1], which is then exact to float64


def running_maximum(losses: Floats) -> Floats:
    """Make losses non-increasing along the path: at each point, the largest from there on.

    A bound on the result is a bound on the losses, which are nowhere larger.

    Args:
        losses: float64 [n, points], or [points].
    """
    return np.maximum.accumulate(losses[..., ::-1], axis=-1)[..., ::-1]


def cheapest_accepted(accepted: npt.NDArray[np.bool_]) -> int | None:
    """The first point from which on all points are accepted; None if the safest is not.

    Args:
        accepted: bool [points], from the cheapest to the safest.
    """
    rejected = np.flatnonzero(~accepted)
    first = int(rejected[-1]) + 1 if rejected.size else 0
    return first if first < len(accepted) else None


class RiskControl(ABC):
    """Decides at which points of a path the mean loss of images like the n ones is bounded.

    Attributes:
        alpha: the bound, 0 to 1.
    """

    alpha: float

    @property
    @abstractmethod
    def level(self) -> float:
        """Largest accepted value of `values`."""

    @abstractmethod
    def values(self, losses: Floats) -> Floats:
        """The statistic of each point, float64 [points].

        Args:
            losses: float64 [n, points], 0 to 1, non-increasing along the path.
        """

    def choose(self, losses: Floats) -> int | None:
        """Index of the cheapest point for which the bound holds; None if it holds for none.

        Args:
            losses: as of `values`.
        """
        return cheapest_accepted(self.values(losses) <= self.level)

    def fewest_images(self, mean: float = 0.0) -> int | None:
        """Number of images from which on a point is accepted.

        Args:
            mean: loss of every image there, 0 to 1. Losses that vary take more images.

        Returns:
            None if more than a million, or if no number suffices.
        """
        rejected, accepted = 0, 1
        while not self._accepts(mean, accepted):
            rejected, accepted = accepted, 2 * accepted
            if rejected >= MOST_IMAGES:
                return None
        while accepted - rejected > 1:
            middle = (rejected + accepted) // 2
            if self._accepts(mean, middle):
                accepted = middle
            else:
                rejected = middle
        return accepted

    def largest_mean(self, images: int) -> float | None:
        """Largest loss common to all images that is accepted; None if not even 0 is.

        Args:
            images: number of images.
        """
        if not self._accepts(0.0, images):
            return None
        accepted, rejected = 0.0, 1.0
        for _ in range(_STEPS):
            middle = (accepted + rejected) / 2
            if self._accepts(middle, images):
                accepted = middle
            else:
                rejected = middle
        return accepted

    def _accepts(self, loss: float, images: int) -> bool:
        """Whether a point is accepted at which all images have this loss."""
        return bool(self.values(np.full((images, 1), loss))[0] <= self.level)


@dataclass(frozen=True)
class ConformalRiskControl(RiskControl):
    """Bounds the expected loss of the next image, over the draw of the n images and of that one.

    ``E[L] <= alpha`` if all are exchangeable, by accepting ``n / (n + 1) mean(L_i) + 1 / (n + 1)
    <= alpha``: the next image is counted with the largest loss possible (Angelopoulos, Bates,
    Fisch, Lei, Schuster: Conformal Risk Control, 2022, theorem 1, with B = 1).
    """

    alpha: float

    @property
    def level(self) -> float:
        """The bound itself."""
        return self.alpha

    def values(self, losses: Floats) -> Floats:
        """The mean loss with the next image at 1, float64 [points]; see `RiskControl.values`."""
        return np.asarray((losses.sum(axis=0) + 1) / (len(losses) + 1))


@dataclass(frozen=True)
class LearnThenTest(RiskControl):
    """Bounds the mean loss with a probability over the draw of n independent images.

    The mean loss at the chosen point exceeds ``alpha`` with a probability of at most
    ``1 - confidence``. The hypotheses "the mean exceeds alpha" are tested in a fixed sequence from
    the safest point on, which needs no correction for their number (Angelopoulos, Bates, Candes,
    Jordan, Lei: Learn then Test, 2021, section 4.2).

    The test bets against its hypothesis (Waudby-Smith, Ramdas: Estimating means of bounded random
    variables by betting, 2020; bets of Bates et al.: Distribution-free, risk-controlling prediction
    sets, 2021, section 3.1.3). While the mean exceeds alpha, the capital
    ``K_i = prod_j (1 - nu_j (L_j - alpha))`` is a supermartingale, so it reaches 1 / p with a
    probability of at most p (Ville's inequality). Losses that vary little, as shares of changed
    labels do, need fewer images than with the Hoeffding-Bentkus bound.
    """

    alpha: float
    confidence: float

    @property
    def level(self) -> float:
        """Probability of a wrong promise."""
        return 1 - self.confidence

    def values(self, losses: Floats) -> Floats:
        """The p-value of each point, float64 [points]; see `RiskControl.values`.

        Args:
            losses: with the images in random order.
        """
        count = np.arange(1, len(losses) + 1)[:, None]
        mean = (0.5 + losses.cumsum(axis=0)) / (1 + count)
        variance = (0.25 + np.square(losses - mean).cumsum(axis=0)) / (1 + count)
        # A bet depends on earlier images only. At most 1 keeps the capital positive.
        earlier = np.vstack([np.full((1, losses.shape[1]), 0.25), variance[:-1]])
        bets = np.minimum(1, np.sqrt(2 * math.log(1 / self.level) / (len(losses) * earlier)))
        capital = np.log1p(-bets * (losses - self.alpha)).cumsum(axis=0)
        return np.asarray(np.exp(-np.maximum(capital.max(axis=0), 0)))


@dataclass(frozen=True)
class Empirical(RiskControl):
    """Compares what was measured, and bounds nothing: for measures that are no mean of losses."""

    alpha: float

    @property
    def level(self) -> float:
        """The bound itself."""
        return self.alpha

    def values(self, losses: Floats) -> Floats:
        """The losses themselves, of all images together, float64 [points].

        Args:
            losses: float64 [1, points], non-increasing along the path.
        """
        return np.asarray(losses.mean(axis=0))
