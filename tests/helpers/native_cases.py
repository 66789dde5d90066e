"""Random arguments for the native CPU library, and what it computes, in float64."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import ml_dtypes
import numpy as np
import numpy.typing as npt

from lc_trt.runtime.native.element_type import ElementType

Array = npt.NDArray[Any]
FLOATS = (ElementType.F32, ElementType.BF16)
INTEGERS = (ElementType.S8, ElementType.U8)


def random_values(
    rng: np.random.Generator, shape: Sequence[int], element_type: ElementType
) -> Array:
    """Values that the type represents exactly, float64."""
    if element_type.is_integer:
        low, high = (-128, 128) if element_type is ElementType.S8 else (0, 256)
        return rng.integers(low, high, shape).astype(np.float64)
    return rng.standard_normal(shape).astype(element_type.dtype).astype(np.float64)


def random_weight(
    rng: np.random.Generator, shape: Sequence[int], element_type: ElementType
) -> Array:
    """Weights as `NativeConv` takes them, represented exactly by the type of the rows."""
    if element_type.is_integer:
        return rng.integers(-127, 128, shape).astype(np.int8)
    weight = rng.standard_normal(shape) / np.sqrt(np.prod(shape[1:]))
    return weight.astype(element_type.dtype).astype(np.float32)


def random_table(rng: np.random.Generator, shape: Sequence[int], rows: int) -> Array:
    """Rows, and what is none: -1, one past the last, and any other number."""
    table = rng.integers(-1, rows + 1, shape)
    anything = rng.integers(-(2**31), 2**31, shape)
    return np.where(rng.random(shape) < 0.1, anything, table).astype(np.int32)


def rows_of(values: Array, table: Array | None, results: int) -> Array:
    """What each result reads, float64 [results, taps, channels]."""
    if table is None:
        table = np.arange(results)[:, None]
    exists = (table >= 0) & (table < len(values))
    with_zeros = np.concatenate([values, np.zeros((1, values.shape[1]))])
    return with_zeros[np.where(exists, table, len(values))]


def convolve(
    inputs: Sequence[tuple[Array, Array | None]], weight: Array, results: int
) -> tuple[Array, Array]:
    """Sums of products, and of their magnitudes, float64 [results, outputs]."""
    windows = np.concatenate([rows_of(v, t, results) for v, t in inputs], 2)
    flat = windows.transpose(0, 2, 1).reshape(results, windows.shape[1] * windows.shape[2])
    matrix = weight.astype(np.float64).reshape(len(weight), -1).T
    with np.errstate(invalid="ignore"):
        return flat @ matrix, np.abs(flat) @ np.abs(matrix)


def requantised(sums: Array, scale: Array, bias: Array, residual: Array | float) -> Array:
    """What follows the sums of INT8 products: float32, in the order of the library."""
    value = sums.astype(np.float32) * scale + bias
    return np.float32(value) + np.float32(residual)


def saturated(value: Array, element_type: ElementType) -> Array:
    """Nearest value of an INT8 type, half to even, float64."""
    low, high = (-128, 127) if element_type is ElementType.S8 else (0, 255)
    return np.rint(value).clip(low, high).astype(np.float64)


def as_bf16(value: Array) -> Array:
    """Rounded to bf16, float64."""
    return value.astype(ml_dtypes.bfloat16).astype(np.float64)


def blob_scores(rng: np.random.Generator, size: tuple[int, int, int]) -> Array:
    """Smooth scores, float32 [N, H, W], so that a threshold leaves blobs."""
    n, h, w = size
    y, x = np.mgrid[0:h, 0:w]
    phase = rng.random((n, 4, 1, 1)) * 6
    waves = np.sin(x / 7 + phase[:, 0]) + np.cos(y / 5 + phase[:, 1])
    waves = waves + np.sin((x + y) / 9 + phase[:, 2]) / 2
    return waves.astype(np.float32)
