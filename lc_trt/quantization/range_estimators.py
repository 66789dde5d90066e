"""Estimators of the range that INT8 covers; values outside saturate."""

from __future__ import annotations

from collections.abc import Callable

import numpy as np
import numpy.typing as npt

from lc_trt.compiler.options import Range
from lc_trt.compiler.passes.insert_qdq import LEVELS, SIGNED_LEVELS
from lc_trt.errors import UsageError
from lc_trt.quantization.histogram import Histogram
from lc_trt.quantization.options import PERCENTILE

_CANDIDATES = 128  # ranges that entropy and mse compare


def find_range(histogram: Histogram, method: str, percentile: float = PERCENTILE) -> Range:
    """Estimate the range of a tensor.

    Args:
        histogram: of its values.
        method: ``minmax`` (all values), ``percentile`` (all but the largest), ``entropy`` (least
            Kullback-Leibler divergence of the quantised distribution) or ``mse`` (least mean
            squared error).
        percentile: share of the values, in percent, that the method of that name covers.

    Returns:
        (low, high), low <= 0 <= high.

    Raises:
        UsageError: as of `check_method`.
    """
    check_method(method, percentile)
    if not histogram.limit:
        return 0.0, 0.0
    top = _METHODS[method](histogram, percentile)
    return max(histogram.low, -top), min(histogram.high, top)


def check_method(method: str, percentile: float) -> None:
    """Reject an unknown method or an invalid percentile.

    Args:
        method: as of `find_range`.
        percentile: likewise.

    Raises:
        UsageError: the method is unknown, or the percentile is not 50 to 100.
    """
    if method not in _METHODS:
        raise UsageError(f"unknown method {method!r}: expected {', '.join(_METHODS)}")
    if not 50 <= percentile <= 100:
        raise UsageError(f"percentile {percentile}: expected 50 to 100")


def _levels(histogram: Histogram) -> int:
    return SIGNED_LEVELS if histogram.low < 0 else LEVELS


def _minmax(histogram: Histogram, percentile: float) -> float:
    return max(-histogram.low, histogram.high)


def _percentile(histogram: Histogram, percentile: float) -> float:
    covered = histogram.zeros + np.cumsum(histogram.counts)
    last = int(np.searchsorted(covered, histogram.total * percentile / 100))
    return (min(last, len(covered) - 1) + 1) * histogram.width


def _ends(histogram: Histogram, fewest: int) -> npt.NDArray[np.int64]:
    """Candidate ranges as numbers of bins; the last covers all values."""
    used = int(np.flatnonzero(histogram.counts)[-1]) + 1
    first = min(max(fewest, used // _CANDIDATES), used)
    return np.unique(np.linspace(first, used, _CANDIDATES).astype(np.int64))


def _mse(histogram: Histogram, percentile: float) -> float:
    """Least squared distance between bin centres and their quantised values, weighted by counts."""
    levels, counts = _levels(histogram), histogram.counts.astype(np.float64)
    ends = _ends(histogram, 1)
    centres = (np.arange(ends[-1]) + 0.5) * histogram.width
    errors = []
    for end in ends:
        step = end * histogram.width / levels
        quantised = np.minimum(np.rint(centres / step), levels) * step
        errors.append(((centres - quantised) ** 2 * counts[: ends[-1]]).sum())
    return float(ends[int(np.argmin(errors))] * histogram.width)


def _entropy(histogram: Histogram, percentile: float) -> float:
    """Least Kullback-Leibler divergence between the clipped counts and their quantised form.

    S. Migacz, "8-bit Inference with TensorRT", GTC 2017: values outside the range are added to the
    last bin of the reference, and the counts of a quantised value are spread evenly over its
    non-empty bins.
    """
    levels, counts = _levels(histogram), histogram.counts.astype(np.float64)
    ends = _ends(histogram, levels)
    divergences = []
    for end in ends:
        reference = counts[:end].copy()
        outside = counts[end:].sum()
        starts = np.arange(min(levels, end)) * end // min(levels, end)
        occupied = (reference > 0).astype(np.float64)
        bins = np.maximum(np.add.reduceat(occupied, starts), 1)
        spread = np.add.reduceat(reference, starts) / bins
        lengths = np.diff(np.append(starts, end))
        quantised = np.repeat(spread, lengths) * occupied
        reference[-1] += outside
        divergences.append(_divergence(reference, quantised))
    return float(ends[int(np.argmin(divergences))] * histogram.width)


def _divergence(p: npt.NDArray[np.float64], q: npt.NDArray[np.float64]) -> float:
    """KL(p || q) of two histograms; q is at least 1e-6 where p is not 0."""
    p, q = p / p.sum(), q / max(q.sum(), 1.0)
    p, q = p[p > 0], q[p > 0]
    return float((p * np.log(p / np.maximum(q, 1e-6))).sum())


_METHODS: dict[str, Callable[[Histogram, float], float]] = {
    "minmax": _minmax,
    "percentile": _percentile,
    "entropy": _entropy,
    "mse": _mse,
}
METHODS = tuple(_METHODS)
