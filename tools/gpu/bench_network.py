"""Time a whole cascade on a GPU at the published shares, with dense networks and its ceiling.

    python tools/gpu/bench_network.py --out network.json [--minutes 9] [--batches 8 1]
    python tools/gpu/bench_network.py --out network.json --model models/NAME/model.onnx

The bench runs the lowered ONNX node by node: region operators with our kernels, the others with
torch and cuDNN, channels last, the whole pass in one CUDA graph. Dense networks run the same way:
`fused` uses cuDNN for convolution, bias, sum and ReLU in one kernel, `plain` uses torch for the
last two; speed-ups are over the faster one. A pass is from a uint8 image to its labels. The weights
of a preset are random; thresholds are chosen to reach the published exit shares, on another
photograph each round; all rows of a batch are interleaved. Results are first compared with
PyTorch's regions on the exchange ONNX; if they differ, nothing is timed.
"""

from __future__ import annotations

import argparse
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import onnx
import torch
from gpubench.convolution import FORMS
from gpubench.executor import Executor
from gpubench.kernels import Kernels
from gpubench.machine import describe_machine, finish, open_kernels, require_gpu
from gpubench.networks import (
    PRECISIONS,
    Images,
    lower,
    photographs,
    random_cascade,
    random_dense,
    read_cascade,
)
from gpubench.reference import Reference, disagreement, probabilities_of
from gpubench.speed_rows import rows_of
from gpubench.tactics import tune
from gpubench.timing import Backend, Budget, CudaBackend

from lc_trt.bench.operating_points import (
    ALL_EXIT,
    NONE_EXIT,
    Rho,
    find_rho,
    rho_pair,
)
from lc_trt.compiler.pass_manager import run_passes
from lc_trt.compiler.passes.to_dense import ToDense
from lc_trt.data.metrics import Shares, stage_shares
from lc_trt.data.published import POINTS, SOURCE
from lc_trt.errors import LcTrtError, UsageError
from lc_trt.ir.cost import stage_macs
from lc_trt.utils.files import write_json
from lc_trt.utils.timing import Lane
from lc_trt.utils.timing import measure as measure_lanes

BASELINES = ("vgg16", "resnet101", "inception-resnet-v2")
# The published operating points, and our kernels on every pixel.
ALL = "all pixels"
TARGETS: dict[str, Shares] = {**{n: p.shares for n, p in POINTS.items()}, ALL: (0.0, 0.0, 1.0)}
# Tolerance of a pass, relative to the error of PyTorch's regions in the same precision; errors are
# |out - ref| / |ref| of the logits, with the reference in FP32.
TIMES, EXACT = 2.0, 1e-4
FRAMES = 4  # batches of photographs, used in turn
WARMUP = 5  # rounds


@dataclass(frozen=True)
class Networks:
    """Networks to measure, as exchange models.

    Attributes:
        cascade: network of the published operating points.
        baselines: dense networks by row name.
    """

    cascade: onnx.ModelProto
    baselines: Mapping[str, onnx.ModelProto]


@dataclass(frozen=True)
class Setting:
    """Settings that the networks are compiled for.

    Attributes:
        size: (height, width) in pixels.
        batch: images per pass.
        type: one of `gpubench.networks.PRECISIONS`.
    """

    size: tuple[int, int]
    batch: int
    type: str


def dense_executors(
    source: onnx.ModelProto, setting: Setting, kernels: Kernels, forms: Sequence[str] = FORMS
) -> tuple[dict[str, Executor], str | None]:
    """A dense network in each supported form.

    Args:
        source: exchange model.
        setting: size, batch and type.
        kernels: kernels on the device.
        forms: forms to try; ``plain`` always works.

    Returns:
        Executors by form, and cuDNN's message if it does not support ``fused``.
    """
    model, refusal = lower(source, setting.size, setting.batch, setting.type), None
    executors = {}
    for form in forms:
        executor = Executor(model, kernels, form)
        try:
            executor()
        except (RuntimeError, NotImplementedError) as error:
            if form != "fused":
                raise
            refusal = str(error).strip().splitlines()[0]
        else:
            executors[form] = executor
    return executors, refusal


def check(
    executor: Executor, probabilities: str, source: onnx.ModelProto, setting: Setting,
    image: Images, rho: Sequence[Rho],
) -> float:  # fmt: skip
    """Compare passes with PyTorch's regions, on empty, full and partial regions.

    Args:
        executor: executor of the cascade.
        probabilities: name of the probabilities, which it returns besides the model's outputs.
        source: exchange model of the cascade.
        setting: size, batch and type.
        image: batch of images.
        rho: thresholds with partial regions.

    Returns:
        The largest error.

    Raises:
        LcTrtError: an error beyond rounding.
    """
    device, precision = executor.kernels.device, PRECISIONS[setting.type]
    reference = Reference(source, setting.size, setting.batch, device)
    lower_reference = Reference(source, setting.size, setting.batch, device, precision)
    worst = 0.0
    for pair in (rho_pair(NONE_EXIT, NONE_EXIT), rho_pair(ALL_EXIT, ALL_EXIT), *rho):
        executor.put(image, pair)
        wrong, rounding = disagreement(executor, probabilities, reference, lower_reference)
        limit = EXACT + TIMES * rounding
        if not wrong <= limit:
            raise LcTrtError(
                f"the kernels are off by {wrong:.2e} at rho {pair.tolist()}, expected at most "
                f"{limit:.2e} (PyTorch's regions in the same type): nothing was timed"
            )
        worst = max(worst, wrong)
    return worst


def measure(
    networks: Networks, setting: Setting, kernels: Kernels, backend: Backend,
    images: Sequence[Images], rounds: int, warmup: int = WARMUP,
) -> dict[str, Any]:  # fmt: skip
    """Measure all rows of one batch size.

    Args:
        networks: networks to measure.
        setting: size, batch and type.
        kernels: kernels on the device.
        backend: measures device time.
        images: batches, uint8 [N, H, W, 3], used in turn.
        rounds: timed rounds.
        warmup: untimed rounds before them.

    Returns:
        The rows and their settings, as JSON values.

    Raises:
        LcTrtError: a wrong result; nothing was timed.
    """
    own, refused = dense_executors(run_passes(networks.cascade, [ToDense()]), setting, kernels)
    form = next(iter(own))
    model = lower(networks.cascade, setting.size, setting.batch, setting.type)
    probabilities = probabilities_of(model.graph.node)
    cascade = Executor(model, kernels, form, (probabilities,))
    by_image = [find_rho(cascade, image, list(TARGETS.values())) for image in images]
    rho = {name: [pairs[i] for pairs in by_image] for i, name in enumerate(TARGETS)}
    first = [pairs[0] for pairs in rho.values()]
    error = check(cascade, probabilities, networks.cascade, setting, images[0], first)
    cascade.put(images[0], rho["LC"][0])
    tactics = tune(cascade, backend)
    rows: dict[str, Executor] = {f"dense ({form})": executor for form, executor in own.items()}
    forms = {}
    for name, source in networks.baselines.items():
        executors, _ = dense_executors(source, setting, kernels)
        forms[name], rows[name] = next(iter(executors.items()))
    recorded = {name: backend.record(executor) for name, executor in rows.items()}
    recorded |= dict.fromkeys(TARGETS, backend.record(cascade))

    def lane(name: str) -> Lane[object]:
        def put(number: int) -> None:
            i = number % len(images)
            rows.get(name, cascade).put(images[i], rho[name][i] if name in rho else None)

        return Lane(name, lambda number: recorded[name](), before=put)

    lanes = [lane(name) for name in recorded]
    measure_lanes([lanes], rounds, warmup, timer=backend.milliseconds)
    times = {lane.name: lane.times for lane in lanes}
    shares = {
        name: [stage_shares(_stages(cascade, images[i], pair)) for i, pair in enumerate(pairs)]
        for name, pairs in rho.items()
    }
    macs = stage_macs(networks.cascade, setting.size)
    return {
        "batch": setting.batch, "size": list(setting.size), "dtype": setting.type,
        "error": error, "fused_refused": refused, "forms": forms, "tactics": tactics,
        "rows": rows_of(times, shares, setting.batch, macs),
    }  # fmt: skip


def _stages(cascade: Executor, image: Images, rho: Rho) -> Images:
    stages = cascade.run(image, rho).stages
    assert stages is not None
    return stages


def load(options: argparse.Namespace, device: torch.device) -> tuple[str, Networks]:
    """Load the networks.

    Args:
        options: command-line options.
        device: device to compute the statistics of random networks on.

    Returns:
        Name of the cascade, and the networks.
    """
    if options.model is not None:
        name = (
            options.model.stem
            if options.model.stem != "model"
            else options.model.absolute().parent.name
        )
        return name, Networks(read_cascade(options.model), {})
    sample = photographs(1, 1, _size(options.size))[0]
    baselines = {
        name: random_dense(name, sample, device) for name in BASELINES if name != options.preset
    }
    return options.preset, Networks(random_cascade(options.preset, sample, device), baselines)


def _size(text: str) -> tuple[int, int]:
    try:
        height, width = (int(side) for side in text.split("x"))
    except ValueError as error:
        raise UsageError(f"--size {text}: expected HxW, such as 300x500") from error
    return height, width


def main() -> int:
    """Run the bench; return the exit code."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--out", type=Path, required=True)
    parser.add_argument("--minutes", type=float, default=9.0)
    parser.add_argument("--batches", type=int, nargs="+", default=[8, 1])
    parser.add_argument("--size", default="300x500")
    network = parser.add_mutually_exclusive_group()
    network.add_argument("--preset", default="irnet", help="random weights")
    network.add_argument("--model", type=Path, help="a cascade as exchange ONNX, no baselines")
    parser.add_argument("--type", choices=PRECISIONS, default="float16")
    parser.add_argument("--rounds", type=int, default=40)
    options = parser.parse_args()
    require_gpu()
    size, budget, kernels = _size(options.size), Budget(options.minutes), open_kernels()
    name, networks = load(options, kernels.device)
    result: dict[str, Any] = {
        **describe_machine(), "preset": name, "rounds": options.rounds,
        "published": SOURCE, "batches": [],
    }  # fmt: skip
    for batch in options.batches:
        if budget.spent:
            print(f"no time left for batch {batch}")
            break
        images = photographs(batch, FRAMES, size)
        setting = Setting(size, batch, options.type)
        measured = measure(networks, setting, kernels, CudaBackend(), images, options.rounds)
        result["batches"].append(measured)
        write_json(options.out, result, option="--out", parents=True)
        for row in measured["rows"]:
            reached = "" if row["reached"] is None else f", {row['reached']:.2f} of its ceiling"
            print(
                f"batch {batch}: {row['name']}: {row['ms']:.3f} ms, {row['speedup']:.2f}x{reached}"
            )
    return 0


if __name__ == "__main__":
    finish(main)
