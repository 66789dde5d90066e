"""From the counts of a tensor's values to the range that INT8 covers; what is outside saturates."""

from __future__ import annotations

from collections.abc import Callable

import numpy as np
import numpy.typing as npt

from lc_trt.compiler.options import Range
from lc_trt.compiler.passes.insert_qdq import LEVELS, SIGNED_LEVELS
from lc_trt.errors import UsageError
from lc_trt.quantization.histogram import Histogram
from lc_trt.quantization.options import PERCENTILE

_CANDIDATES = 128  # ends of the range that entropy and mse try


def find_range(histogram: Histogram, method: str, percentile: float = PERCENTILE) -> Range:
    """(low, high) of a tensor, low <= 0 <= high.

    Args:
        method: ``minmax`` (all that occurred), ``percentile`` (all but the largest few),
            ``entropy`` (least Kullback-Leibler divergence of the quantised distribution) or
            ``mse`` (least mean squared error).
        percentile: share of the values, in percent, that the method of that name covers.
    """
    check_method(method, percentile)
    if not histogram.limit:
        return 0.0, 0.0
    top = _METHODS[method](histogram, percentile)
    return max(histogram.low, -top), min(histogram.high, top)


def check_method(method: str, percentile: float) -> None:
    """Refuse an unknown method, or a percentile that covers nothing or too much."""
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
    """Numbers of bins to try as the range, the last one all that hold values."""
    used = int(np.flatnonzero(histogram.counts)[-1]) + 1
    first = min(max(fewest, used // _CANDIDATES), used)
    return np.unique(np.linspace(first, used, _CANDIDATES).astype(np.int64))


def _mse(histogram: Histogram, percentile: float) -> float:
    """Squared distance of each bin's middle to its code, weighted by counts."""
    levels, counts = _levels(histogram), histogram.counts.astype(np.float64)
    ends = _ends(histogram, 1)
    middles = (np.arange(ends[-1]) + 0.5) * histogram.width
    errors = []
    for end in ends:
        step = end * histogram.width / levels
        codes = np.minimum(np.rint(middles / step), levels) * step
        errors.append(((middles - codes) ** 2 * counts[: ends[-1]]).sum())
    return float(ends[int(np.argmin(errors))] * histogram.width)


def _entropy(histogram: Histogram, percentile: float) -> float:
    """Kullback-Leibler divergence of the clipped counts and their quantised form.

    As S. Migacz, "8-bit Inference with TensorRT", GTC 2017: what is outside is added to the last
    bin of the reference, and a code's counts spread over those of its bins that hold any.
    """
    levels, counts = _levels(histogram), histogram.counts.astype(np.float64)
    ends = _ends(histogram, levels)
    divergences = []
    for end in ends:
        reference = counts[:end].copy()
        outside = counts[end:].sum()
        starts = np.arange(min(levels, end)) * end // min(levels, end)
        some = (reference > 0).astype(np.float64)
        spread = np.add.reduceat(reference, starts) / np.maximum(np.add.reduceat(some, starts), 1)
        lengths = np.diff(np.append(starts, end))
        quantised = np.repeat(spread, lengths) * some
        reference[-1] += outside
        divergences.append(_divergence(reference, quantised))
    return float(ends[int(np.argmin(divergences))] * histogram.width)


def _divergence(p: npt.NDArray[np.float64], q: npt.NDArray[np.float64]) -> float:
    """KL(p || q) of counts; what p has and q lacks counts as one part in a million."""
    p, q = p / p.sum(), q / max(q.sum(), 1.0)
    there = p > 0
    return float((p[there] * np.log(p[there] / np.maximum(q[there], 1e-6))).sum())


_METHODS: dict[str, Callable[[Histogram, float], float]] = {
    "minmax": _minmax,
    "percentile": _percentile,
    "entropy": _entropy,
    "mse": _mse,
}
METHODS = tuple(_METHODS)
