"""A region convolution on the device: checked, then timed with the dense convolution."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
import torch
from torch import Tensor
from torch.nn import functional

from gpubench.int8 import DenseProduct, quantize, quantized
from gpubench.kernels import Kernels, RegionConv, Rows
from gpubench.layers import Layer, feature_map
from gpubench.masks import KINDS as MASKS
from gpubench.masks import mask
from gpubench.roofline import H100_MEASURED, bound, operations
from gpubench.timing import Backend, median
from lc_trt.errors import LcTrtError

CHECKED = 0.3  # share of the region in the comparison of results
GOAL, GOAL_FULL, GOAL_FROM = 0.9, 1.1, 0.10
# |out - ref| / |ref| by the result's type. INT8's is the reference's, but for ties of FP32 sums.
TOLERANCE = {"float16": 2e-3, "bfloat16": 1.6e-2, "float32": 1e-5, "int8": 1e-3}
# Values are standard normal: the scales of inputs, residuals and, three such sums, outputs.
X_SCALE, RESIDUAL_SCALE, Y_SCALE = 4 / 127, 4 / 127, 8 / 127


@dataclass(frozen=True)
class Unit:
    """A layer in one network, size and batch: the unit that is measured or skipped.

    Attributes:
        preset: name of the network.
        size: (height, width) in pixels.
        batch: images per pass.
        type: type of the network, one of `gpubench.networks.KINDS`; INT8 has some FP16 layers.
        layer: shape of the convolution.
        count: number of occurrences in the network.
        part: share of the network's region convolutions, by the roofline at all pixels.
    """

    preset: str
    size: tuple[int, int]
    batch: int
    type: str
    layer: Layer
    count: int
    part: float

    @property
    def key(self) -> str:
        """Key of the unit in a results file."""
        height, width = self.size
        return f"{self.preset} {height}x{width} b{self.batch} {self.type} {self.layer}"


def floor(layer: Layer, rows: float) -> float:
    """Lower bound by the roofline, in milliseconds."""
    return bound(layer, rows, H100_MEASURED).ms


class Bench:
    """A unit on the device, with random values."""

    def __init__(self, unit: Unit, kernels: Kernels) -> None:
        layer, device = unit.layer, kernels.device
        self.unit, self.kernels = unit, kernels
        shape = feature_map(unit.batch, unit.size)
        rows = int(np.prod(shape))
        generator = torch.Generator(device).manual_seed(0)

        def noise(*sides: int, scale: float = 1.0) -> Tensor:
            value = torch.randn(*sides, generator=generator, device=device, dtype=torch.float32)
            return value * scale

        kh, kw, dh, dw = layer.window
        spread = (layer.taps * layer.channels) ** -0.5
        weight = noise(layer.out_channels, kh, kw, layer.channels, scale=spread)
        self.place: dict[str, Any] = {
            "padding": (dh * (kh // 2), dw * (kw // 2)),
            "dilation": (dh, dw),
        }
        n, h, w = shape
        self.dense = {"conv": self.dense_conv(noise(n, layer.channels, h, w), weight)}
        residual = None
        if layer.residual is not None:
            residual = _cast(noise(rows, layer.out_channels), layer.residual, RESIDUAL_SCALE)
        self.conv = RegionConv(
            layer.name,
            [
                (_cast(noise(rows, width), layer.type, X_SCALE), begin, end)
                for width, begin, end in layer.segments
            ],
            Rows.empty(shape, device),
            weight,
            noise(layer.out_channels),
            residual,
            torch.zeros(
                rows, layer.out_channels, dtype=getattr(torch, layer.output), device=device
            ),
            layer.window,
            layer.relu,
        )
        self.region = self.conv.region
        if layer.type == "int8":
            y_scale = Y_SCALE if layer.output == "int8" else 1.0
            residual_scale = RESIDUAL_SCALE if layer.residual == "int8" else 1.0
            self.conv = quantized(self.conv, X_SCALE, y_scale, residual_scale)
            depth = layer.taps * layer.channels
            self.dense["int8 product"] = DenseProduct(rows, depth, layer.out_channels, device)
        else:
            self.conv.weight = _cast(weight, layer.type)  # the bias stays in FP32, as lowered

    def dense_conv(self, x: Tensor, weight: Tensor) -> Callable[[], Tensor]:
        """cuDNN's convolution of the same type; in FP16 for INT8."""
        kind = "float16" if self.unit.layer.type == "int8" else self.unit.layer.type
        x = _cast(x, kind).contiguous(memory_format=torch.channels_last)
        last = _cast(weight, kind).permute(0, 3, 1, 2)  # [Cout, Cin, kh, kw], channels last
        return lambda: functional.conv2d(x, last, **self.place)

    def launch(self, tactic: int) -> Callable[[], None]:
        """Run the region convolution."""
        return lambda: self.kernels.conv(self.conv, tactic)

    def expected(self) -> Tensor:
        """Expected rows of the region, float32 [count, Cout]; the integers for INT8."""
        conv, (n, h, w) = self.conv, self.region.shape
        count = int(self.region.count_tensor)
        positions = self.region.rows_tensor[:count].long()
        read = torch.cat([x[:count, begin:end] for x, begin, end in conv.x], 1)
        full = read.new_zeros(n * h * w, read.shape[1], dtype=torch.float32)
        full[positions] = read.float()
        full = full.view(n, h, w, -1).permute(0, 3, 1, 2)
        last = conv.weight.permute(0, 3, 1, 2).float()
        y = functional.conv2d(full, last, **self.place)
        rows = y.permute(0, 2, 3, 1).reshape(n * h * w, -1)[positions]
        rows = rows * (1.0 if conv.scales is None else conv.scales) + conv.bias
        if conv.residual is not None:
            rows = rows + conv.residual_factor * conv.residual[:count].float()
        rows = rows.relu() if conv.relu else rows
        return quantize(rows, 1.0).float() if conv.y.dtype == torch.int8 else rows

    def error(self, tactic: int, expected: Tensor) -> float:
        """``|out - ref| / |ref|`` of a tactic on the region."""
        self.conv.y.view(torch.uint8).fill_(0xFF)  # NaN, or -1
        self.launch(tactic)()
        result = self.conv.y[: len(expected)].float()
        return float((result - expected).norm() / expected.norm())

    def rows(
        self, backend: Backend, shares: Sequence[float], kinds: Sequence[str], rounds: int,
        copies: int,
    ) -> Iterator[dict[str, Any]]:  # fmt: skip
        """One line per share and kind of mask.

        Raises:
            LcTrtError: a tactic's result is wrong.
        """
        unit, layer = self.unit, self.unit.layer
        tactics = range(self.kernels.tactics(self.conv.weight.dtype) + 1)
        shape = self.region.shape
        self.region.set(mask(MASKS[0], CHECKED, shape))
        expected = self.expected()
        for tactic in tactics:
            wrong = self.error(tactic, expected)
            if not wrong <= TOLERANCE[layer.output]:
                raise LcTrtError(
                    f"{unit.key}: tactic {tactic} is off by {wrong:.2e}, expected at most "
                    f"{TOLERANCE[layer.output]:.0e}; nothing was timed"
                )
        denses = {
            name: median(backend, backend.record(run, copies), rounds, copies)
            for name, run in self.dense.items()
        }
        dense = min(denses.values())
        recorded = {t: backend.record(self.launch(t), copies) for t in tactics}
        pixels = int(np.prod(shape))
        for kind in kinds:
            for share in shares:
                if share == 1.0 and kind != kinds[0]:
                    continue  # all pixels have one form
                self.region.set(mask(kind, share, shape))
                taken = {t: median(backend, run, rounds, copies) for t, run in recorded.items()}
                rows, best = round(share * pixels), min(taken, key=lambda t: taken[t])
                ms, limit = taken[best], GOAL_FULL if share == 1.0 else share / GOAL
                yield {
                    "key": unit.key, "preset": unit.preset, "size": list(unit.size),
                    "batch": unit.batch, "type": unit.type, "layer": layer.name,
                    "count": unit.count, "part": round(unit.part, 4),
                    "mask": kind if share < 1.0 else "full", "share": share, "rows": rows,
                    "ms": ms, "tactic": best, "tactics": {str(t): v for t, v in taken.items()},
                    "tflops": operations(layer, rows) / ms / 1e9,
                    "dense_ms": dense, "denses": denses,
                    "dense_tflops": operations(layer, pixels) / dense / 1e9,
                    "ratio": ms / dense, "goal": limit,
                    "met": ms <= limit * dense if share >= GOAL_FROM else None,
                    "floor_ms": floor(layer, rows),
                }  # fmt: skip


def _cast(value: Tensor, kind: str, scale: float = 1.0) -> Tensor:
    """A float32 tensor in another type; in INT8, by its scale."""
    return quantize(value, scale) if kind == "int8" else value.to(getattr(torch, kind))
