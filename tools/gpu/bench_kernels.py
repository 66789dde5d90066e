"""Time every region convolution of a network on a GPU, beside cuDNN's dense one of that layer.

    python tools/gpu/bench_kernels.py --out kernels.jsonl [--done EARLIER.jsonl] [--minutes 9]

A layer's tactics are captured in CUDA graphs once and replayed for every share of active pixels,
clustered and scattered; the dense convolution is torch's, of the same type, channels last,
cudnn.benchmark, in a graph too, without bias or activation. INT8 has none in torch: it is compared
with the faster of the FP16 one and cuBLASLt's INT8 product of the same size, INT32 out. Each
layer's result is compared with float32 first.
The layers that take most of their network come first, in all sizes and batches, and every line is
written as it is found; --done skips what an earlier run has. All tensors stay in the caches as
far as they fit, on both sides.
"""

from __future__ import annotations

import argparse
import json
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import torch
from gpubench.int8 import DenseProduct, codes, quantised
from gpubench.kernels import NUMPY, Kernels, Rows, segments
from gpubench.machine import GPU, describe_machine, finish, open_kernels, require_gpu
from gpubench.masks import KINDS, mask
from gpubench.plan import ConvStep, Part
from gpubench.roofline import H100_MEASURED, bound, operations
from gpubench.shapes import Layer, feature_map, region_layers
from gpubench.timing import Backend, Budget, CudaBackend, median
from torch import Tensor
from torch.nn import functional

from lc_trt.errors import LcTrtError, UsageError

PRESETS = ("irnet", "inception-resnet-v2")
SIZES = ((300, 500), (512, 1024))
BATCHES = (8, 1, 4)
SHARES = (0.05, 0.10, 0.15, 0.25, 0.44, 0.50, 0.77, 1.00)
TYPES = {
    "float16": torch.float16, "bfloat16": torch.bfloat16, "int8": torch.int8,
    "float32": torch.float32,
}  # fmt: skip
CHECKED = 0.3  # share of the region that results are compared on
GOAL, GOAL_FULL, GOAL_FROM = 0.9, 1.1, 0.10
# |out - ref| / |ref|. Codes are those of the reference, but for ties of its FP32 sums.
TOLERANCE = {torch.float16: 2e-3, torch.bfloat16: 1.6e-2, torch.float32: 1e-5, torch.int8: 1e-3}
# Values are standard normal: the scales of inputs, residuals and, three such sums, outputs.
X_SCALE, RESIDUAL_SCALE, Y_SCALE = 4 / 127, 4 / 127, 8 / 127


@dataclass(frozen=True)
class Unit:
    """A layer in one network, size and batch; what is measured, and skipped, as one.

    Attributes:
        part: of its network's region convolutions, by the roofline at all pixels.
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
        """What tells it from others in a file of results."""
        height, width = self.size
        return f"{self.preset} {height}x{width} b{self.batch} {self.type} {self.layer}"


def units(
    presets: Sequence[str], sizes: Sequence[tuple[int, int]], batches: Sequence[int],
    types: Sequence[str],
) -> list[Unit]:  # fmt: skip
    """All there is to measure, what takes most of its network first."""
    found = []
    for preset in presets:
        layers = region_layers(preset)
        for size in sizes:
            for batch in batches:
                rows = float(np.prod(feature_map(batch, size)))
                for kind in types:
                    cost = {la: n * floor(la, rows, TYPES[kind]) for la, n in layers.items()}
                    total = sum(cost.values())
                    found += [
                        Unit(preset, size, batch, kind, layer, layers[layer], cost[layer] / total)
                        for layer in layers
                    ]
    return sorted(found, key=lambda unit: -unit.part)


def floor(layer: Layer, rows: float, dtype: torch.dtype) -> float:
    """Milliseconds by the roofline."""
    return bound(layer, rows, H100_MEASURED, NUMPY[dtype].itemsize).ms


class Bench:
    """One unit on the device."""

    def __init__(self, unit: Unit, kernels: Kernels) -> None:
        layer, device, dtype = unit.layer, kernels.device, TYPES[unit.type]
        self.unit, self.kernels, self.dtype = unit, kernels, dtype
        shape = feature_map(unit.batch, unit.size)
        self.region, rows = Rows.empty(shape, device), int(np.prod(shape))
        generator = torch.Generator(device).manual_seed(0)

        def noise(*sides: int, scale: float = 1.0) -> Tensor:
            value = torch.randn(*sides, generator=generator, device=device, dtype=torch.float32)
            return (value * scale).to(torch.float32 if dtype == torch.int8 else dtype)

        self.x = [noise(rows, width) for width, _, _ in layer.segments]
        self.residual, y = noise(rows, layer.out_channels), noise(rows, layer.out_channels)
        kh, kw, dh, dw = layer.window
        spread = (layer.taps * layer.channels) ** -0.5
        weight = noise(layer.out_channels, kh, kw, layer.channels, scale=spread)
        parts = tuple(Part(i, b, e) for i, (_, b, e) in enumerate(layer.segments))
        residual = len(parts) if layer.residual else None
        self.step = ConvStep(
            layer.name, parts, weight, noise(layer.out_channels), layer.window, layer.relu,
            residual, len(parts) + 1,
        )  # fmt: skip
        self.place = {"padding": (dh * (kh // 2), dw * (kw // 2)), "dilation": (dh, dw)}
        n, h, w = shape
        self.dense = {"conv": self.dense_conv(noise(n, layer.channels, h, w), weight)}
        if dtype == torch.int8:
            self.x = [codes(x, X_SCALE) for x in self.x]
            self.residual, y = codes(self.residual, RESIDUAL_SCALE), codes(y, Y_SCALE)
            self.step = quantised(self.step, X_SCALE, Y_SCALE, RESIDUAL_SCALE)
            depth = layer.taps * layer.channels
            self.dense["int8 product"] = DenseProduct(rows, depth, layer.out_channels, device)
        self.buffers = [*self.x, self.residual, y]

    def dense_conv(self, x: Tensor, weight: Tensor) -> Callable[[], Tensor]:
        """cuDNN's of the same type; of INT8, FP16's."""
        if self.dtype == torch.int8:
            x, weight = x.half(), weight.half()
        x = x.contiguous(memory_format=torch.channels_last)
        last = weight.permute(0, 3, 1, 2)  # [Cout, Cin, kh, kw], channels last already
        return lambda: functional.conv2d(x, last, **self.place)

    def launch(self, tactic: int) -> Callable[[], None]:
        """The region convolution."""
        x = segments(self.step.x, self.buffers)
        return lambda: self.kernels.conv(self.step, x, self.buffers, self.region, tactic)

    def expected(self) -> Tensor:
        """What the region's rows are, float32 [count, Cout]; of INT8, codes."""
        count = int(self.region.count_tensor)
        positions = self.region.rows_tensor[:count].long()
        n, h, w = self.region.shape
        segments = zip(self.x, self.unit.layer.segments, strict=True)
        read = torch.cat([x[:count, begin:end] for x, (_, begin, end) in segments], 1)
        full = read.new_zeros(n * h * w, read.shape[1], dtype=torch.float32)
        full[positions] = read.float()
        full = full.view(n, h, w, -1).permute(0, 3, 1, 2)
        step = self.step
        last = step.weight.permute(0, 3, 1, 2).float()
        y = functional.conv2d(full, last, **self.place)
        rows = y.permute(0, 2, 3, 1).reshape(n * h * w, -1)[positions]
        rows = rows * (1.0 if step.scale is None else step.scale) + step.bias.float()
        if step.residual is not None:
            rows = rows + step.factor * self.residual[:count].float()
        rows = rows.relu() if step.relu else rows
        return codes(rows, 1.0).float() if self.dtype == torch.int8 else rows

    def error(self, tactic: int, expected: Tensor) -> float:
        """``|out - ref| / |ref|`` of a tactic on the region."""
        self.buffers[-1].view(torch.uint8).fill_(0xFF)  # NaN, or the code -1
        self.launch(tactic)()
        found = self.buffers[-1][: len(expected)].float()
        return float((found - expected).norm() / expected.norm())

    def rows(
        self, backend: Backend, shares: Sequence[float], kinds: Sequence[str], rounds: int,
        copies: int,
    ) -> Iterator[dict[str, Any]]:  # fmt: skip
        """A line a share and kind of mask.

        Raises:
            LcTrtError: a tactic's result is wrong.
        """
        unit, layer = self.unit, self.unit.layer
        tactics = range(self.kernels.tactics(self.dtype) + 1)
        shape = self.region.shape
        self.region.set(mask(KINDS[0], CHECKED, shape))
        expected = self.expected()
        for tactic in tactics:
            wrong = self.error(tactic, expected)
            if not wrong <= TOLERANCE[self.dtype]:
                raise LcTrtError(
                    f"{unit.key}: tactic {tactic} is off by {wrong:.2e}, expected at most "
                    f"{TOLERANCE[self.dtype]:.0e}; nothing was timed"
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
                    "floor_ms": floor(layer, rows, self.dtype),
                }  # fmt: skip


def finished(paths: Sequence[Path]) -> set[str]:
    """Keys of the units that earlier runs measured whole; a cut-off last line is no error."""
    found = set()
    for path in paths:
        for line in path.read_text().splitlines():
            try:
                value = json.loads(line)
            except json.JSONDecodeError:
                continue
            if "finished" in value:
                found.add(value["finished"])
    return found


def measure(
    todo: Sequence[Unit], kernels: Kernels, backend: Backend, budget: Budget,
    write: Callable[[dict[str, Any]], None], shares: Sequence[float] = SHARES,
    kinds: Sequence[str] = KINDS, rounds: int = 20, copies: int = 10,
) -> int:  # fmt: skip
    """Measure units until all are done or time is up; how many were done."""
    for done, unit in enumerate(todo):
        if budget.spent:
            return done
        for row in Bench(unit, kernels).rows(backend, shares, kinds, rounds, copies):
            write(row)
        write({"finished": unit.key})
    return len(todo)


def main() -> int:
    """Measure; the exit code."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--out", type=Path, required=True, help="JSON lines, added to")
    parser.add_argument("--done", type=Path, nargs="*", default=[], help="results to skip")
    parser.add_argument("--minutes", type=float, default=9.0)
    parser.add_argument("--presets", nargs="+", default=PRESETS)
    parser.add_argument("--batches", type=int, nargs="+", default=BATCHES)
    parser.add_argument("--types", nargs="+", default=["float16", "int8"])
    parser.add_argument("--rounds", type=int, default=20)
    given = parser.parse_args()
    require_gpu()
    for kind in given.types:
        if kind not in TYPES:
            raise UsageError(f"--types {kind}: expected {', '.join(TYPES)}")
    budget = Budget(given.minutes)
    earlier = finished([*given.done, *([given.out] if given.out.is_file() else [])])
    every = units(given.presets, SIZES, given.batches, given.types)
    todo = [unit for unit in every if unit.key not in earlier]
    kernels = open_kernels()
    given.out.parent.mkdir(parents=True, exist_ok=True)
    with given.out.open("a") as file:

        def write(value: dict[str, Any]) -> None:
            file.write(json.dumps(value) + "\n")
            file.flush()

        write({"machine": describe_machine()})
        with torch.cuda.device(GPU), torch.inference_mode():
            done = measure(todo, kernels, CudaBackend(), budget, write, rounds=given.rounds)
    print(f"{done} of {len(todo)} layers measured, {len(earlier)} were there; {given.out}")
    return 0


if __name__ == "__main__":
    finish(main)
