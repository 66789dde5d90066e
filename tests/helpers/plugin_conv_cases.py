"""Checks of the region convolution, for the emulator and for a GPU alike.

FP32, FP16 and BF16 against PyTorch in float64; INT8 bit for bit, see `CodeConv`.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass, replace

import numpy as np
import torch
from plugin_cases import (
    DEVICE,
    MapSize,
    mask_of,
    numbered_rows,
    poison,
    rows_of,
    valid_part,
    values,
)
from plugin_harness import Array, Harness, Plugin, Region, describe
from torch.nn import functional

OUTPUT_TYPES = {"float32": 1, "float16": 2, "bfloat16": 3}  # of codes, by the attribute output_type


@dataclass(frozen=True)
class ConvCase:
    """A region convolution; `segments` are (width of the matrix, from, to) in channels.

    `source` has the rows that it reads: those of the ``region`` itself, all of its ``map``, or the
    ``parents``, rows of a region at twice the stride that each pixel's index names.
    `residual_dtype`, `output` and `factor` are for INT8.
    """

    segments: tuple[tuple[int, int, int], ...] = ((32, 0, 32),)
    out_channels: int = 32
    kernel: tuple[int, int] = (1, 1)
    dilation: tuple[int, int] = (1, 1)
    size: MapSize = (1, 9, 11)
    share: str | float = 0.5
    dtype: str = "float16"
    bias_dtype: str | None = None  # as dtype
    source: str = "region"
    residual: bool = False
    scale: float = 1.0
    relu: bool = False
    layout: int = 1  # OHWI
    tactic: int = 0
    seed: int = 0
    residual_dtype: str | None = None  # as dtype
    output: str | None = None  # as dtype
    factor: float = 1.0

    @classmethod
    def of(cls, channels: int, out_channels: int, **others: object) -> ConvCase:
        """One segment, all of it read."""
        return replace(cls(((channels, 0, channels),), out_channels), **others)  # type: ignore[arg-type]


class Conv:
    """A case on the device, to be launched and checked for one region after another.

    FP32, FP16 and BF16; `conv_of` makes what a case needs.
    """

    def __init__(self, harness: Harness, case: ConvCase) -> None:
        self.harness, self.case = harness, case
        self.rng = np.random.default_rng(case.seed)
        channels = sum(end - begin for _, begin, end in case.segments)
        shape = (case.out_channels, channels, *case.kernel)
        self.weight, self.bias = self.parameters(shape)
        laid = np.ascontiguousarray(np.moveaxis(self.weight, 1, 3)) if case.layout else self.weight
        self.device_weight, self.device_bias = harness.put(laid), harness.put(self.bias)
        self.region = harness.region(np.zeros(case.size, bool))
        source = self.source_mask()
        self.index = harness.put(np.zeros(case.size, np.int32))
        self.inputs = [
            harness.poisoned((source.size, width), case.dtype) for width, _, _ in case.segments
        ]
        outputs = self.region.max_rows, case.out_channels
        self.residual = harness.poisoned(outputs, case.residual_dtype or case.dtype)
        self.y = harness.poisoned(outputs, case.output or case.dtype)

    def parameters(self, shape: tuple[int, ...]) -> tuple[np.ndarray, np.ndarray]:
        """Weight [Cout, Cin, kh, kw] and bias."""
        spread = 1 / np.sqrt(np.prod(shape[1:]))
        weight = (self.rng.standard_normal(shape) * spread).astype(self.case.dtype)
        bias = self.rng.standard_normal(shape[0])
        return weight, bias.astype(self.case.bias_dtype or self.case.dtype)

    def source_mask(self) -> np.ndarray:
        """bool, the pixels whose rows are read; of half the size for ``parents``."""
        case = self.case
        if case.source == "region":
            return self.region.mask
        if case.source == "map":
            return np.ones(case.size, bool)
        n, h, w = case.size
        return mask_of(case.share, (n, -(-h // 2), -(-w // 2)), case.seed + 1)

    def fill(self, share: str | float) -> None:
        """Another region and new features, in the same memory."""
        case, harness = self.case, self.harness
        harness.change(self.region, mask_of(share, case.size, case.seed))
        source = self.source_mask()
        _, self.numbers, (count,) = describe(source)
        if case.source == "parents":
            _, h, w = case.size
            self.numbers = self.numbers.repeat(2, 1).repeat(2, 2)[:, :h, :w]
        self.index.set(self.numbers)
        self.rows = []
        counts = [count] * len(self.inputs) + [self.region.size]
        for array, valid in zip((*self.inputs, self.residual), counts, strict=True):
            full = poison(array.shape, str(array.dtype))
            full[:valid] = values(self.rng, (valid, array.shape[1]), str(array.dtype))
            array.set(full)
            self.rows.append(full[:valid])
        self.y.set(poison(self.y.shape, str(self.y.dtype)))

    @property
    def read_region(self) -> Region:
        """The region, with the index of what is read."""
        if self.case.source == "region":
            return self.region
        return replace(self.region, index=self.index)

    def launch(self) -> None:
        case = self.case
        pairs = zip(self.inputs, case.segments, strict=True)
        self.harness.conv(
            [(x, begin, end) for x, (_, begin, end) in pairs], self.read_region,
            self.device_weight, self.device_bias, self.residual if case.residual else None, self.y,
            window=(*case.kernel, *case.dilation), scale=case.scale, relu=case.relu,
            layout=case.layout, tactic=case.tactic, **self.more(),
        )  # fmt: skip

    def more(self) -> dict[str, object]:
        """What only some types take."""
        return {}

    def attributes(self) -> dict[str, object]:
        """Of the plugin."""
        case = self.case
        return {
            "kernel_shape": case.kernel, "dilations": case.dilation, "activation": int(case.relu),
            "residual_scale": float(case.scale), "weight_layout": case.layout,
            "channel_begin": [begin for _, begin, _ in case.segments],
            "channel_end": [end for _, _, end in case.segments],
        }  # fmt: skip

    def parameters_of_plugin(self) -> list[Array]:
        """Weight and what follows it, but the residual."""
        return [self.device_weight, self.device_bias]

    def read(self) -> np.ndarray:
        """The channels that are read, of all rows, [P, Cin]."""
        pairs = zip(self.rows[:-1], self.case.segments, strict=True)
        return np.concatenate([x[:, begin:end] for x, (_, begin, end) in pairs], 1)

    def expected(self) -> np.ndarray:
        """float64 [count, Cout]."""
        case, mask = self.case, self.region.mask
        padding = tuple(d * (k // 2) for k, d in zip(case.kernel, case.dilation, strict=True))
        y = functional.conv2d(
            numbered_rows(self.read(), self.numbers),
            torch.from_numpy(self.weight.astype(np.float64)).to(DEVICE),
            torch.from_numpy(self.bias.astype(np.float64)).to(DEVICE),
            padding=padding, dilation=case.dilation,
        )  # fmt: skip
        value = case.scale * rows_of(y[:, :, : mask.shape[1], : mask.shape[2]], mask)
        if case.residual:
            value = value + self.rows[-1].astype(np.float64)
        return np.maximum(value, 0) if case.relu else value

    def check(self) -> None:
        """Within the rounding of the output for 16 bits, and of FP32 sums for FP32."""
        found, expected = valid_part(self.y, self.region.size), self.expected()
        tolerance = {"float16": 2e-3, "bfloat16": 1.6e-2, "float32": 2e-5}[self.case.dtype]
        found = found.astype(np.float64)
        np.testing.assert_allclose(found, expected, rtol=tolerance, atol=tolerance)


class CodeConv(Conv):
    """INT8: exact sums, and an epilogue whose every rounding is the one that the kernel says.

    So results are compared bit for bit. They agree with the formula in float64 but where that
    comes nearer to a rounding's tie than `tie_width`; there a code may be the one beside it.
    """

    def __init__(self, harness: Harness, case: ConvCase) -> None:
        super().__init__(harness, case)
        # Sums of random codes are spread over about three times what codes can hold.
        spread = 70 * 70 * np.sqrt(np.prod(self.weight.shape[1:]))
        self.scale = (self.rng.uniform(0.5, 1.5, case.out_channels) * 128 / spread).astype(
            np.float32
        )
        self.device_scale = harness.put(self.scale)

    def parameters(self, shape: tuple[int, ...]) -> tuple[np.ndarray, np.ndarray]:
        bias = 30 * self.rng.standard_normal(shape[0])
        return values(self.rng, shape, "int8"), bias.astype(np.float32)

    def more(self) -> dict[str, object]:
        return {"scales": self.device_scale, "factor": self.case.factor}

    def attributes(self) -> dict[str, object]:
        output = OUTPUT_TYPES.get(self.case.output or "", 0)
        return {
            **super().attributes(),
            "residual_factor": float(self.case.factor),
            "output_type": output,
        }

    def parameters_of_plugin(self) -> list[Array]:
        return [self.device_weight, self.device_scale, self.device_bias]

    def sums(self) -> np.ndarray:
        """int64 [count, Cout], tap by tap; the products' sums in float64 are exact integers."""
        mask, (kh, kw), (dh, dw) = self.region.mask, self.case.kernel, self.case.dilation
        n, h, w = mask.shape
        # Row 0 of `read` and what is around the map are missing.
        top, left = dh * (kh // 2), dw * (kw // 2)
        index = np.zeros((n, h + dh * (kh - 1), w + dw * (kw - 1)), np.int64)
        index[:, top : top + h, left : left + w] = self.numbers
        read = np.pad(self.read(), ((1, 0), (0, 0))).astype(np.float64)
        total = np.zeros((self.region.size, self.case.out_channels), np.int64)
        for i in range(kh):
            for j in range(kw):
                neighbours = index[:, i * dh : i * dh + h, j * dw : j * dw + w][mask]
                tap = self.weight[:, :, i, j].astype(np.float64)
                total += (read[neighbours] @ tap.T).astype(np.int64)
        assert np.abs(total).max(initial=0) < 2**31
        return total

    def expected(self) -> np.ndarray:
        """[count, Cout] in the output's type."""
        case, single = self.case, np.float32
        value = fused(self.sums().astype(single), self.scale, self.bias)
        residual = single(0)
        if case.residual:
            residual = single(case.factor) * self.rows[-1].astype(single)
        value = fused(single(case.scale), value, residual)
        if case.relu:
            value = np.maximum(value, single(0))
        return to_output(value, self.y.dtype)

    def in_float64(self) -> tuple[np.ndarray, np.ndarray]:
        """The formula without a rounding, and how far FP32's four roundings can be from it."""
        case = self.case
        factor, scale = np.float64(np.float32(case.factor)), np.float64(np.float32(case.scale))
        product = self.sums() * self.scale.astype(np.float64)
        residual = factor * self.rows[-1].astype(np.float64) if case.residual else np.float64(0)
        value = residual + scale * (product + self.bias)
        terms = np.abs(residual) + np.abs(scale) * (np.abs(product) + np.abs(self.bias))
        return np.maximum(value, 0) if case.relu else value, 4 * 2.0**-24 * terms

    def check(self) -> None:
        found = valid_part(self.y, self.region.size)
        np.testing.assert_array_equal(found, self.expected())
        if found.dtype != np.int8:
            return
        value, tie_width = self.in_float64()
        codes = np.clip(np.rint(value), -128, 127)
        near = np.abs(value - np.floor(value) - 0.5) <= tie_width
        assert (np.abs(found - codes) <= near).all()


def fused(a: np.ndarray, b: np.ndarray, c: np.ndarray) -> np.ndarray:
    """``a * b + c`` of float32 with one rounding, as fmaf: the product is exact in long double."""
    wide = np.longdouble
    return np.asarray(np.asarray(a, wide) * np.asarray(b, wide) + np.asarray(c, wide), np.float32)


def to_output(value: np.ndarray, dtype: np.dtype) -> np.ndarray:
    """Half to even, and saturated to codes."""
    return (np.clip(np.rint(value), -128, 127) if dtype == np.int8 else value).astype(dtype)


def conv_of(harness: Harness, case: ConvCase) -> Conv:
    """A case's arrays and reference."""
    return (CodeConv if case.dtype == "int8" else Conv)(harness, case)


def check_conv(harness: Harness, case: ConvCase) -> None:
    conv = conv_of(harness, case)
    conv.fill(case.share)
    conv.launch()
    conv.check()


def check_conv_replay(harness: Harness, case: ConvCase, shares: Sequence[str | float]) -> None:
    """One graph, captured on the first region, serves all."""
    conv = conv_of(harness, case)
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
    conv = conv_of(harness, case)
    conv.fill(case.share)
    plugin = prepare(harness.plugin("RegionConv", conv.attributes()))
    plugin.set_tactic(case.tactic)
    none = harness.put(np.zeros((1, 1), conv.residual.dtype))
    inputs = [
        *conv.inputs, conv.region.rows, conv.read_region.index, conv.region.count,
        *conv.parameters_of_plugin(), conv.residual if case.residual else none,
    ]  # fmt: skip
    plugin.run(inputs, [conv.y])
    conv.check()
