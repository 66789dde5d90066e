"""Time a whole cascade on a GPU at the published shares, beside dense networks and its ceiling.

    python tools/gpu/bench_network.py --out network.json [--minutes 9] [--batches 8 1]

Stage 1 runs in PyTorch (cuDNN, FP16, channels last), what is on rows in our kernels, the whole
pass in one CUDA graph. Dense rows run the same way: `fused` asks cuDNN for convolution, bias, sum
and ReLU at once, `plain` leaves them to torch; speed-ups are over the faster of the two. A pass
is from a normalised image to probabilities at 1/8 of its size, in all rows. Weights are random,
thresholds chosen so that the published shares of pixels leave, on another photograph each round;
all rows of a batch are measured in turns. The kernels' results are compared with PyTorch's own
cascade first; where they differ, nothing is timed.
"""

from __future__ import annotations

import argparse
import json
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Any

import numpy as np
import torch
from gpubench.cascade import KernelCascade, disagreement, rounding
from gpubench.dense import FORMS, ready
from gpubench.kernels import Kernels
from gpubench.machine import describe_machine, finish, open_kernels, require_gpu
from gpubench.network import Frames, calibrate, operations, shares_of, tune
from gpubench.shapes import CLASSES
from gpubench.timing import Backend, Budget, CudaBackend, PixelWork, interleave
from torch import Tensor, nn

from lc_trt.bench.operating_points import Shares
from lc_trt.bench.timing import percentiles, ratio
from lc_trt.data.published import POINTS, SOURCE, dense_fps
from lc_trt.errors import LcTrtError
from lc_trt.ir.cost import StageMacs
from lc_trt.model.cascade import Cascade
from lc_trt.model.presets import build_cascade, build_dense

BASELINES = ("vgg16", "resnet101", "inception-resnet-v2")
GOALS = {1: 0.8, 8: 0.9}  # of the ceiling, by batch
# The published points, and our kernels on every pixel.
ALL = "all pixels"
TARGETS: dict[str, Shares] = {**{n: p.shares for n, p in POINTS.items()}, ALL: (0.0, 0.0, 1.0)}
# What kernels may be off by, beside PyTorch's own cascade in the same type on the same regions;
# both as |out - ref| / |ref| of the logits, the reference in float32.
TIMES, EXACT = 2.0, 1e-4


class Dense:
    """A dense network on the batch that lies in ``x``."""

    def __init__(
        self, network: nn.Module, form: str, dtype: torch.dtype, device: torch.device
    ) -> None:
        self.network = ready(network, form, dtype, device)

    @torch.inference_mode()
    def __call__(self, x: Tensor) -> Tensor:
        """Probabilities float32 [N, K, h, w]."""
        for stage in self.network.stages:
            x = stage(x)
        return self.network.heads[0](x).float().softmax(1)


def usable_form(dense: Callable[[str], Dense], x: Tensor) -> tuple[tuple[str, ...], str | None]:
    """The forms that run here, and what ``fused`` said if it does not."""
    try:
        dense("fused")(x)
    except (RuntimeError, NotImplementedError) as error:
        return ("plain",), str(error).strip().splitlines()[0]
    return FORMS, None


def check(cascade: KernelCascade, model: Cascade, frames: Frames) -> float:
    """How far the kernels are from PyTorch's cascade, over regions empty, full and between.

    Raises:
        LcTrtError: further than rounding.
    """
    worst = 0.0
    # Full, none, and stages that are reached in part.
    for rho in ((1.0, 1.0), (-1.0, -1.0), *(frames.rho[name][0] for name in frames.rho)):
        cascade.rho.copy_(torch.as_tensor(rho))
        x = frames.inputs[0].to(next(model.parameters()))
        wrong = disagreement(cascade, model, x)
        limit = EXACT + TIMES * rounding(cascade, model, x)
        if not wrong <= limit:
            raise LcTrtError(
                f"the kernels are off by {wrong:.2e} at rho {rho}, expected at most {limit:.2e} "
                "(PyTorch's own cascade in the same type): nothing was timed"
            )
        worst = max(worst, wrong)
    return worst


def measure(
    batch: int, size: tuple[int, int], model: Cascade, dense: nn.Module,
    others: dict[str, nn.Module], macs: StageMacs, kernels: Kernels, backend: Backend,
    images: Sequence[Tensor], rounds: int, warmup: int, dtype: torch.dtype,
) -> dict[str, Any]:  # fmt: skip
    """All rows of one batch size, and what they were measured at."""
    device = kernels.device

    def make(network: nn.Module) -> Callable[[str], Dense]:
        return lambda form: Dense(network, form, dtype, device)

    x = images[0].to(device, dtype).contiguous(memory_format=torch.channels_last).clone()
    forms, refused = usable_form(make(dense), x)
    cascade = KernelCascade(model, kernels, batch, size, dtype, forms[0])
    inputs = [cascade.input(image) for image in images]
    frames = Frames.find(cascade, inputs, TARGETS)
    error = check(cascade, model, frames)
    cascade.rho.copy_(torch.as_tensor(frames.rho["LC"][0]))
    tactics = tune(cascade, x.copy_(inputs[0]), backend)
    networks = {f"dense ({form})": make(dense)(form) for form in forms}
    chosen = {name: usable_form(make(network), x)[0][0] for name, network in others.items()}
    networks |= {name: make(network)(chosen[name]) for name, network in others.items()}
    lanes = {name: backend.record(_on(network, x)) for name, network in networks.items()}
    replay = backend.record(_on(cascade, x))
    lanes |= dict.fromkeys(TARGETS, replay)

    def put(i: int, name: str) -> None:
        x.copy_(inputs[i % len(inputs)])
        if name in frames.rho:
            cascade.rho.copy_(torch.as_tensor(frames.rho[name][i % len(inputs)]))

    times = interleave(backend, lanes, rounds, warmup, put)
    left: dict[str, list[Shares]] = {name: [] for name in TARGETS}
    for name, shares in left.items():
        for i in range(len(inputs)):
            put(i, name)
            shares.append(shares_of(cascade(x)))
    return {
        "batch": batch, "size": list(size), "dtype": str(dtype).removeprefix("torch."),
        "error": error, "fused_refused": refused, "forms": chosen, "tactics": tactics,
        "rows": rows_of(times, left, batch, macs),
    }  # fmt: skip


def _on(network: Callable[[Tensor], object], x: Tensor) -> PixelWork:
    return lambda: network(x)


def rows_of(
    times: dict[str, list[float]], left: dict[str, list[Shares]], batch: int, macs: StageMacs
) -> list[dict[str, Any]]:
    """Milliseconds a batch, images a second, speed-up over the fastest dense row and ceiling."""
    median = {name: float(np.median(taken)) for name, taken in times.items()}
    fastest = min((n for n in times if n.startswith("dense (")), key=lambda n: median[n])
    rows = []
    for name, ms in sorted(median.items(), key=lambda item: item[1], reverse=True):
        row: dict[str, Any] = {
            "name": name, "ms": ms, "p95_ms": percentiles(times[name])["p95"],
            "images_per_second": 1e3 * batch / ms, "speedup": ratio(times[fastest], times[name]),
            "reference": fastest, "published_fps": published(name),
            "shares": None, "ceiling": None, "reached": None, "goal": None, "met": None,
        }  # fmt: skip
        if name in left:
            shares = np.mean(np.asarray(left[name]), 0)
            ceiling = macs.dense / macs.at(1.0 - float(shares[0]), float(shares[2]))
            reached = row["speedup"] / ceiling
            goal = GOALS.get(batch) if name in POINTS else None
            row |= {
                "shares": [float(s) for s in shares], "ceiling": ceiling, "reached": reached,
                "goal": goal, "met": None if goal is None else bool(reached >= goal),
            }  # fmt: skip
        rows.append(row)
    return rows


def published(name: str) -> float | None:
    """Frames per second in the paper, for a row of ours."""
    if name in POINTS:
        return POINTS[name].fps
    return dense_fps("irnet" if name.startswith("dense (") else name)


def main() -> int:
    """Check, measure, write; the exit code."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--out", type=Path, required=True)
    parser.add_argument("--minutes", type=float, default=9.0)
    parser.add_argument("--batches", type=int, nargs="+", default=[8, 1])
    parser.add_argument("--size", default="300x500")
    parser.add_argument("--preset", default="irnet")
    parser.add_argument("--rounds", type=int, default=40)
    given = parser.parse_args()
    require_gpu()
    height, width = (int(side) for side in given.size.split("x"))
    budget, kernels = Budget(given.minutes), open_kernels()
    torch.manual_seed(0)
    model = build_cascade(given.preset, CLASSES).eval()
    macs = operations(model, given.preset, (height, width))
    model = model.to(kernels.device)
    dense = build_dense(given.preset, CLASSES).eval()
    others = {name: build_dense(name, CLASSES).eval() for name in BASELINES if name != given.preset}
    sample = Frames.photographs(given.preset, 1, (height, width))[0].to(kernels.device)
    for network in (model, dense, *others.values()):
        calibrate(network.to(kernels.device), sample)
    result: dict[str, Any] = {
        **describe_machine(), "preset": given.preset, "rounds": given.rounds,
        "published": SOURCE, "batches": [],
    }  # fmt: skip
    for batch in given.batches:
        if budget.spent:
            print(f"no time left for batch {batch}")
            break
        images = Frames.photographs(given.preset, batch, (height, width))
        found = measure(
            batch, (height, width), model, dense, others, macs, kernels, CudaBackend(), images,
            given.rounds, 5, torch.float16,
        )  # fmt: skip
        result["batches"].append(found)
        given.out.parent.mkdir(parents=True, exist_ok=True)
        given.out.write_text(json.dumps(result, indent=2) + "\n")
        for row in found["rows"]:
            reached = "" if row["reached"] is None else f", {row['reached']:.2f} of its ceiling"
            print(
                f"batch {batch}: {row['name']}: {row['ms']:.3f} ms, {row['speedup']:.2f}x{reached}"
            )
    return 0


if __name__ == "__main__":
    finish(main)
