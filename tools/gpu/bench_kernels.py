"""Time every region convolution of a network on a GPU, compared with cuDNN's dense convolution.

    python tools/gpu/bench_kernels.py --out kernels.jsonl [--done EARLIER.jsonl] [--minutes 9]

The layers are those of the lowered ONNX. The tactics of a layer are captured in CUDA graphs once
and replayed for every share of active pixels, clustered and scattered. The dense convolution is
torch's, of the same type, channels last, cudnn.benchmark, also in a graph, without bias or
activation. torch has no INT8 convolution: INT8 is compared with the faster of the FP16 convolution
and cuBLASLt's INT8 product of the same size with INT32 output. Each layer's result is first
compared with float32. The layers with the largest share of their network come first, in all sizes
and batches, and every line is written as soon as it is measured; --done skips layers of earlier
runs. On both sides, tensors stay in the caches as far as they fit.
"""

from __future__ import annotations

import argparse
import json
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Any

import numpy as np
import torch
from gpubench.kernels import Kernels
from gpubench.layer_bench import Bench, Unit, floor
from gpubench.layers import feature_map, preset_layers
from gpubench.machine import GPU, describe_machine, finish, open_kernels, require_gpu
from gpubench.masks import KINDS as MASKS
from gpubench.networks import KINDS
from gpubench.timing import Backend, Budget, CudaBackend

from lc_trt.errors import UsageError

PRESETS = ("irnet", "inception-resnet-v2")
SIZES = ((300, 500), (512, 1024))
BATCHES = (8, 1, 4)
SHARES = (0.05, 0.10, 0.15, 0.25, 0.44, 0.50, 0.77, 1.00)


def units(
    presets: Sequence[str], sizes: Sequence[tuple[int, int]], batches: Sequence[int],
    types: Sequence[str],
) -> list[Unit]:  # fmt: skip
    """All layers to measure, those with the largest share of their network first."""
    every = []
    for preset in presets:
        for kind in types:
            layers = preset_layers(preset, kind)
            for size in sizes:
                for batch in batches:
                    rows = float(np.prod(feature_map(batch, size)))
                    cost = {layer: n * floor(layer, rows) for layer, n in layers.items()}
                    total = sum(cost.values())
                    every += [
                        Unit(preset, size, batch, kind, layer, layers[layer], cost[layer] / total)
                        for layer in layers
                    ]
    return sorted(every, key=lambda unit: -unit.part)


def finished(paths: Sequence[Path]) -> set[str]:
    """Keys of the units that earlier runs completed; an incomplete last line is ignored."""
    keys = set()
    for path in paths:
        for line in path.read_text().splitlines():
            try:
                value = json.loads(line)
            except json.JSONDecodeError:
                continue
            if "finished" in value:
                keys.add(value["finished"])
    return keys


def measure(
    todo: Sequence[Unit], kernels: Kernels, backend: Backend, budget: Budget,
    write: Callable[[dict[str, Any]], None], shares: Sequence[float] = SHARES,
    kinds: Sequence[str] = MASKS, rounds: int = 20, copies: int = 10,
) -> int:  # fmt: skip
    """Measure units until all are done or time is up; return the number done."""
    for done, unit in enumerate(todo):
        if budget.spent:
            return done
        for row in Bench(unit, kernels).rows(backend, shares, kinds, rounds, copies):
            write(row)
        write({"finished": unit.key})
    return len(todo)


def main() -> int:
    """Run the bench; return the exit code."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--out", type=Path, required=True, help="JSON lines file to append to")
    parser.add_argument("--done", type=Path, nargs="*", default=[], help="results to skip")
    parser.add_argument("--minutes", type=float, default=9.0)
    parser.add_argument("--presets", nargs="+", default=PRESETS)
    parser.add_argument("--batches", type=int, nargs="+", default=BATCHES)
    parser.add_argument("--types", nargs="+", default=["float16", "int8"])
    parser.add_argument("--rounds", type=int, default=20)
    options = parser.parse_args()
    require_gpu()
    for kind in options.types:
        if kind not in KINDS:
            raise UsageError(f"--types {kind}: expected {', '.join(KINDS)}")
    budget = Budget(options.minutes)
    earlier = finished([*options.done, *([options.out] if options.out.is_file() else [])])
    every = units(options.presets, SIZES, options.batches, options.types)
    todo = [unit for unit in every if unit.key not in earlier]
    kernels = open_kernels()
    options.out.parent.mkdir(parents=True, exist_ok=True)
    with options.out.open("a") as file:

        def write(value: dict[str, Any]) -> None:
            file.write(json.dumps(value) + "\n")
            file.flush()

        write({"machine": describe_machine()})
        with torch.cuda.device(GPU), torch.inference_mode():
            done = measure(todo, kernels, CudaBackend(), budget, write, rounds=options.rounds)
    print(f"{done} of {len(todo)} layers measured, {len(earlier)} from earlier runs; {options.out}")
    return 0


if __name__ == "__main__":
    finish(main)
