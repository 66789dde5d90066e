"""Checks of the kernels against PyTorch in float64 or NumPy, for the emulator and a GPU alike.

Every check poisons what lies beyond `count`, in inputs and outputs, with bytes 0xff: NaN, or the
code -1. It requires that none of it is read and that the outputs' part is left as it was.
`plugin_conv_cases` has those of the convolution.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace

import numpy as np
import torch
from plugin_harness import Array, Harness, Region
from torch.nn import functional

MapSize = tuple[int, int, int]  # N, H, W
# Where the references are computed.
DEVICE = "cuda" if torch.cuda.is_available() else "cpu"


def mask_of(kind: str | float, size: MapSize, seed: int = 0) -> np.ndarray:
    """bool [N, H, W]: `empty`, `one`, `full`, or a share: of scattered pixels, or of `blobs`."""
    rng = np.random.default_rng(seed)
    mask = np.zeros(size, bool)
    if kind == "full":
        mask[:] = True
    elif kind == "one":
        mask.reshape(-1)[rng.integers(mask.size)] = True
    elif kind == "blobs":
        n, h, w = size
        for image in range(n):
            for _ in range(3):
                y, x = rng.integers(h), rng.integers(w)
                mask[image, y : y + max(h // 3, 1), x : x + max(w // 3, 1)] = True
    elif kind != "empty":
        mask = rng.random(size) < float(kind)
    return mask


def values(rng: np.random.Generator, shape: Sequence[int], dtype: str) -> np.ndarray:
    """Standard normal numbers, or INT8 codes of which all occur alike."""
    if dtype == "int8":
        return rng.integers(-128, 128, shape).astype(np.int8)
    return rng.standard_normal(shape).astype(dtype)


def poison(shape: Sequence[int], dtype: str) -> np.ndarray:
    """Bytes 0xff."""
    count = int(np.prod(shape)) * np.dtype(dtype).itemsize
    return np.full(count, 0xFF, np.uint8).view(dtype).reshape(shape)


def features(
    harness: Harness, rng: np.random.Generator, region: Region, channels: int, dtype: str
) -> tuple[np.ndarray, Array]:
    """Random rows, and the same on the device with poison beyond count."""
    rows = values(rng, (region.size, channels), dtype)
    return rows, padded(harness, rows, region.max_rows)


def padded(harness: Harness, rows: np.ndarray, max_rows: int) -> Array:
    """Rows on the device, followed by poison."""
    array = harness.poisoned((max_rows, rows.shape[1]), rows.dtype)
    full = array.numpy()
    full[: len(rows)] = rows
    array.set(full)
    return array


def valid_part(array: Array, count: int) -> np.ndarray:
    """The first `count` rows; what follows must be as it was poisoned."""
    value = array.numpy()
    rest = value[count:].view(np.uint8)
    assert (rest == 0xFF).all(), "rows beyond count were written"
    return value[:count]


def dense(rows: np.ndarray, mask: np.ndarray) -> torch.Tensor:
    """float64 [N, C, H, W], zero outside the region."""
    n, h, w = mask.shape
    full = np.zeros((mask.size, rows.shape[1]), np.float64)
    full[np.flatnonzero(mask)] = rows
    return torch.from_numpy(full).to(DEVICE).view(n, h, w, -1).permute(0, 3, 1, 2)


def numbered_rows(rows: np.ndarray, numbers: np.ndarray) -> torch.Tensor:
    """float64 [N, C, H, W] of the rows that an index [N, H, W] numbers from 1 on; 0 is zero."""
    with_zero = np.pad(rows.astype(np.float64), ((1, 0), (0, 0)))
    return torch.from_numpy(np.moveaxis(with_zero[numbers], 3, 1)).to(DEVICE)


def rows_of(full: torch.Tensor, mask: np.ndarray) -> np.ndarray:
    """[R, C] of a dense map."""
    flat = full.permute(0, 2, 3, 1).reshape(mask.size, -1)
    return flat.cpu().numpy()[np.flatnonzero(mask)]


# --- select --------------------------------------------------------------------------------------


def check_select(
    harness: Harness, size: MapSize, share: str | float, dtype: str, mask_dtype: str, seed: int = 0
) -> None:
    rng = np.random.default_rng(seed)
    n, h, w = size
    shape = (n, 1, h, w)
    active = mask_of(share, size, seed).reshape(shape)
    confidence = rng.random(shape).astype(dtype)
    confidence[rng.random(shape) < 0.1] = np.nan
    rho = np.asarray(0.6, dtype)
    confidence[rng.random(shape) < 0.1] = rho
    rows = harness.poisoned((n * h * w,), np.int32)
    index, count = harness.poisoned(size, np.int32), harness.poisoned((1,), np.int32)
    # Any value other than 0 is active: TensorRT's BOOL holds 0 or 1, an INT32 may hold more.
    source = (active * (1 if mask_dtype == "bool" else 3)).astype(mask_dtype)
    hard = harness.poisoned(shape, np.uint8 if mask_dtype == "bool" else np.int32)
    harness.select(
        harness.put(confidence), harness.put(source), harness.put(rho), rows, index, count, hard
    )
    with np.errstate(invalid="ignore"):
        expected = active & ~(confidence > rho)
    positions = np.flatnonzero(expected)
    assert count.numpy().tolist() == [len(positions)]
    assert np.array_equal(valid_part(rows, len(positions)), positions)
    assert np.array_equal(hard.numpy(), expected)
    numbered = np.zeros(expected.size, np.int32)
    numbered[positions] = np.arange(1, len(positions) + 1)
    assert np.array_equal(index.numpy().ravel(), numbered)


# --- rows ----------------------------------------------------------------------------------------


def check_gather(
    harness: Harness, mask: np.ndarray, channels: int, dtype: str, layout: int
) -> None:
    rng = np.random.default_rng(1)
    region = harness.region(mask)
    n, h, w = mask.shape
    last = values(rng, (n, h, w, channels), dtype)
    if layout == 0:
        source = np.moveaxis(last, 3, 1)
    else:
        unit = 8 * layout
        source = poison((n, h, w, -(-channels // unit) * unit), dtype)
        source[..., :channels] = last
    y = harness.poisoned((region.max_rows, channels), dtype)
    harness.gather(harness.put(np.ascontiguousarray(source)), region, y, layout)
    expected = last.reshape(-1, channels)[np.flatnonzero(mask)]
    assert np.array_equal(valid_part(y, region.size), expected)


def check_scatter(harness: Harness, mask: np.ndarray, channels: int, dtype: str) -> None:
    rng = np.random.default_rng(2)
    region = harness.region(mask)
    n, h, w = mask.shape
    rows, x = features(harness, rng, region, channels, dtype)
    base = rng.standard_normal((n, channels, h, w)).astype(dtype)
    y = harness.poisoned(base.shape, dtype)
    harness.scatter(x, region, harness.put(base), y)
    expected = np.moveaxis(base, 1, 3).reshape(-1, channels).copy()
    expected[np.flatnonzero(mask)] = rows
    assert np.array_equal(np.moveaxis(y.numpy(), 1, 3).reshape(-1, channels), expected)


def check_restrict(
    harness: Harness, mask: np.ndarray, keep: float, channels: int, dtype: str
) -> None:
    rng = np.random.default_rng(3)
    smaller = mask & (rng.random(mask.shape) < keep)
    outer, inner = harness.region(mask), harness.region(smaller)
    rows, x = features(harness, rng, outer, channels, dtype)
    y = harness.poisoned((inner.max_rows, channels), dtype)
    harness.restrict(x, outer, inner, y)
    assert np.array_equal(valid_part(y, inner.size), rows[smaller[mask]])


def check_max_pool(
    harness: Harness, mask: np.ndarray, channels: int, dtype: str, kernel: int, dilation: int,
    everywhere: bool = False,
) -> None:  # fmt: skip
    """`everywhere`: of all rows of the map instead of the region's."""
    rng = np.random.default_rng(4)
    region = harness.region(mask)
    source = np.ones_like(mask) if everywhere else mask
    read = harness.region(source)
    rows, x = features(harness, rng, read, channels, dtype)
    if read.size and dtype != "int8":
        rows[0, 0] = np.nan  # a NaN that is there must stay
        x = padded(harness, rows, read.max_rows)
    y = harness.poisoned(x.shape, dtype)
    harness.max_pool(x, replace(region, index=read.index), y, (kernel, kernel, dilation, dilation))
    around = (dilation * (kernel // 2),) * 4
    full = functional.pad(numbered_rows(rows, read.index.numpy()), around)
    expected = rows_of(functional.max_pool2d(full, kernel, 1, dilation=dilation), mask)
    assert np.array_equal(valid_part(y, region.size), expected.astype(dtype), equal_nan=True)


def check_quantize(
    harness: Harness, mask: np.ndarray, channels: int, dtype: str, scale: float
) -> None:
    """Ties and what saturates are among the values."""
    rng = np.random.default_rng(5)
    region = harness.region(mask)
    scale = float(np.float32(scale))
    rows = rng.integers(-300, 300, (region.size, channels)) / 2 * scale
    loose = rng.random(rows.shape) < 0.5
    rows = np.where(loose, rng.standard_normal(rows.shape) * 60 * scale, rows).astype(dtype)
    x = padded(harness, rows, region.max_rows)
    y = harness.poisoned(x.shape, np.int8)
    harness.quantize(x, region.count, y, scale)
    quotient = rows.astype(np.float32) / np.float32(scale)
    expected = np.clip(np.rint(quotient), -128, 127).astype(np.int8)
    assert np.array_equal(valid_part(y, region.size), expected)
