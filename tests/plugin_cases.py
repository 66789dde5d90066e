"""Checks of each kernel against PyTorch in float64, for the emulator and for a GPU alike.

Every check poisons with NaN what lies beyond `count`, in inputs and outputs, and requires that
none of it is read and that the outputs' part is left as it was.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass, replace

import numpy as np
import torch
from plugin_harness import Array, Harness, Plugin, Region
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


def features(
    harness: Harness, rng: np.random.Generator, region: Region, channels: int, dtype: str
) -> tuple[np.ndarray, Array]:
    """Random rows, and the same on the device with NaN beyond count."""
    rows = rng.standard_normal((region.size, channels)).astype(dtype)
    return rows, padded(harness, rows, region.max_rows)


def padded(harness: Harness, rows: np.ndarray, max_rows: int) -> Array:
    """Rows on the device, followed by NaN."""
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
    given = (active * (1 if mask_dtype == "bool" else 3)).astype(mask_dtype)
    hard = harness.poisoned(shape, np.uint8 if mask_dtype == "bool" else np.int32)
    harness.select(
        harness.put(confidence), harness.put(given), harness.put(rho), rows, index, count, hard
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
    last = rng.standard_normal((n, h, w, channels)).astype(dtype)
    if layout == 0:
        given = np.moveaxis(last, 3, 1)
    else:
        given = np.full((n, h, w, -(-channels // 8) * 8), np.nan, dtype)
        given[..., :channels] = last
    y = harness.poisoned((region.max_rows, channels), dtype)
    harness.gather(harness.put(np.ascontiguousarray(given)), region, y, layout)
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
    harness: Harness, mask: np.ndarray, channels: int, dtype: str, kernel: int, dilation: int
) -> None:
    rng = np.random.default_rng(4)
    region = harness.region(mask)
    rows, x = features(harness, rng, region, channels, dtype)
    if region.size:
        rows[0, 0] = np.nan  # a NaN that is there must stay
        x = padded(harness, rows, region.max_rows)
    y = harness.poisoned(x.shape, dtype)
    harness.max_pool(x, region, y, (kernel, kernel, dilation, dilation))
    around = (dilation * (kernel // 2),) * 4
    full = functional.pad(dense(rows, mask), around)
    expected = rows_of(functional.max_pool2d(full, kernel, 1, dilation=dilation), mask)
    assert np.array_equal(valid_part(y, region.size), expected.astype(dtype), equal_nan=True)


# --- conv ----------------------------------------------------------------------------------------


@dataclass(frozen=True)
class ConvCase:
    """A region convolution; `segments` are (width of the matrix, from, to) in channels."""

    segments: tuple[tuple[int, int, int], ...] = ((32, 0, 32),)
    out_channels: int = 32
    kernel: tuple[int, int] = (1, 1)
    dilation: tuple[int, int] = (1, 1)
    size: MapSize = (1, 9, 11)
    share: str | float = 0.5
    dtype: str = "float16"
    bias_dtype: str | None = None  # as dtype
    residual: bool = False
    scale: float = 1.0
    relu: bool = False
    layout: int = 1  # OHWI
    tactic: int = 0
    seed: int = 0

    @classmethod
    def of(cls, channels: int, out_channels: int, **others: object) -> ConvCase:
        """One segment, all of it read."""
        return replace(cls(((channels, 0, channels),), out_channels), **others)  # type: ignore[arg-type]


class Conv:
    """A case on the device, to be launched and checked for one region after another."""

    def __init__(self, harness: Harness, case: ConvCase) -> None:
        self.harness, self.case = harness, case
        rng = self.rng = np.random.default_rng(case.seed)
        channels = sum(end - begin for _, begin, end in case.segments)
        shape = (case.out_channels, channels, *case.kernel)
        spread = 1 / np.sqrt(channels * case.kernel[0] * case.kernel[1])
        self.weight = (rng.standard_normal(shape) * spread).astype(case.dtype)
        self.bias = rng.standard_normal(case.out_channels).astype(case.bias_dtype or case.dtype)
        laid = np.ascontiguousarray(np.moveaxis(self.weight, 1, 3)) if case.layout else self.weight
        self.device_weight, self.device_bias = harness.put(laid), harness.put(self.bias)
        self.region = harness.region(np.zeros(case.size, bool))
        rows = self.region.max_rows
        self.inputs = [harness.poisoned((rows, width), case.dtype) for width, _, _ in case.segments]
        self.residual = harness.poisoned((rows, case.out_channels), case.dtype)
        self.y = harness.poisoned((rows, case.out_channels), case.dtype)

    def fill(self, share: str | float) -> None:
        """Another region and new features, in the same memory."""
        case, harness = self.case, self.harness
        harness.change(self.region, mask_of(share, case.size, case.seed))
        count = self.region.size
        self.rows = []
        for array in (*self.inputs, self.residual):
            full = np.full(array.shape, np.nan, case.dtype)
            full[:count] = self.rng.standard_normal((count, array.shape[1]))
            array.set(full)
            self.rows.append(full[:count])
        self.y.set(np.full(self.y.bytes, 0xFF, np.uint8).view(case.dtype).reshape(self.y.shape))

    def launch(self) -> None:
        case = self.case
        pairs = zip(self.inputs, case.segments, strict=True)
        self.harness.conv(
            [(x, begin, end) for x, (_, begin, end) in pairs], self.region,
            self.device_weight, self.device_bias, self.residual if case.residual else None, self.y,
            window=(*case.kernel, *case.dilation), scale=case.scale, relu=case.relu,
            layout=case.layout, tactic=case.tactic,
        )  # fmt: skip

    def expected(self) -> np.ndarray:
        """float64 [count, Cout]."""
        case, mask = self.case, self.region.mask
        *inputs, residual = self.rows
        read = [x[:, begin:end] for x, (_, begin, end) in zip(inputs, case.segments, strict=True)]
        padding = tuple(d * (k // 2) for k, d in zip(case.kernel, case.dilation, strict=True))
        y = functional.conv2d(
            dense(np.concatenate(read, 1), mask),
            torch.from_numpy(self.weight).to(DEVICE).double(),
            torch.from_numpy(self.bias).to(DEVICE).double(),
            padding=padding, dilation=case.dilation,
        )  # fmt: skip
        value = case.scale * rows_of(y[:, :, : mask.shape[1], : mask.shape[2]], mask)
        if case.residual:
            value = value + residual.astype(np.float64)
        return np.maximum(value, 0) if case.relu else value

    def check(self) -> None:
        """Within the rounding of the output for FP16, and of FP32 sums for FP32."""
        found, expected = valid_part(self.y, self.region.size), self.expected()
        tolerance = 2e-3 if self.case.dtype == "float16" else 2e-5
        np.testing.assert_allclose(found, expected, rtol=tolerance, atol=tolerance)


def check_conv(harness: Harness, case: ConvCase) -> None:
    conv = Conv(harness, case)
    conv.fill(case.share)
    conv.launch()
    conv.check()


def check_conv_replay(harness: Harness, case: ConvCase, shares: Sequence[str | float]) -> None:
    """One graph, captured on the first region, serves all."""
    conv = Conv(harness, case)
    conv.fill(shares[0])
    conv.launch()  # loads the kernel, which a capture may not wait for
    with harness.captured() as graph:
        conv.launch()
    for share in shares:
        conv.fill(share)
        graph.replay()
        conv.check()


def check_plugin_conv(
    harness: Harness, case: ConvCase, prepare: Callable[[Plugin], Plugin]
) -> None:
    """The plugin object in place of the kernel; `prepare` may replace it by a clone or such."""
    conv = Conv(harness, case)
    conv.fill(case.share)
    attributes = {
        "kernel_shape": case.kernel, "dilations": case.dilation, "activation": int(case.relu),
        "residual_scale": float(case.scale), "weight_layout": case.layout,
        "channel_begin": [begin for _, begin, _ in case.segments],
        "channel_end": [end for _, _, end in case.segments],
    }  # fmt: skip
    plugin = prepare(harness.plugin("RegionConv", attributes))
    plugin.set_tactic(case.tactic)
    none = harness.put(np.zeros((1, 1), case.dtype))
    inputs = [
        *conv.inputs, conv.region.rows, conv.region.index, conv.region.count, conv.device_weight,
        conv.device_bias, conv.residual if case.residual else none,
    ]  # fmt: skip
    plugin.run(inputs, [conv.y])
    conv.check()
