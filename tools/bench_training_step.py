"""Benchmark region convolution in a step of cascade fine-tuning, at the published exit shares.

    python tools/bench_training_step.py [--preset irnet] [--size 300x500] [--batch 1]
        [--rounds 20] [--device cpu] [--threads N] [--images DIR] [--json FILE]

A step is the forward pass, the losses and the backward pass, without the optimizer. The same
network runs with features as rows (as in training) and as masked dense maps (the reference),
interleaved, on the same photographs, at thresholds that give the published exit shares; the ratio
is the median over rounds. The ceiling follows from the skipped operations. Rows "+ all" add stage
3's loss on all pixels, whose dense pass both forms need.
"""

from __future__ import annotations

import argparse
import sys
import tempfile
from pathlib import Path

import numpy as np
import onnx
import torch
from torch import Tensor

from lc_trt.cli.command_line import command_line
from lc_trt.data.metrics import Shares
from lc_trt.data.published import POINTS
from lc_trt.ir.cost import StageMacs, stage_macs
from lc_trt.model.cascade import Cascade
from lc_trt.model.layers import freeze_batch_norm
from lc_trt.model.presets import build_cascade, find_preset
from lc_trt.model.region import CompactRegion, MaskedRegion
from lc_trt.training.config import Exit, Phase
from lc_trt.training.export import export_file
from lc_trt.training.objective import objective
from lc_trt.utils import timing
from lc_trt.utils.environment import describe_environment
from lc_trt.utils.files import write_json
from lc_trt.video.sample_frames import load_frames

CLASSES = 21
WARMUP = 2  # batches that are not counted
FORMS = {"masked dense": MaskedRegion, "region": CompactRegion}


def main() -> int:
    """Measure and print; returns the exit code."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--preset", default="irnet")
    parser.add_argument("--size", default="300x500")
    parser.add_argument("--batch", type=int, default=1)
    parser.add_argument("--rounds", type=int, default=20)
    parser.add_argument("--device", default="cpu")
    parser.add_argument("--threads", type=int)
    parser.add_argument("--images", type=Path)
    parser.add_argument("--json", type=Path)
    given = parser.parse_args()
    height, width = (int(side) for side in given.size.split("x"))
    if given.threads:
        torch.set_num_threads(given.threads)
    environment = describe_environment(given.threads)
    model = build(given.preset).to(given.device)
    frames = load_frames(given.images, given.batch * (given.rounds + WARMUP), (height, width))
    images = [
        to_input(np.stack(frames[i : i + given.batch]), given.preset, given.device)
        for i in range(0, len(frames), given.batch)
    ]
    macs = operations(given.preset, (height, width))
    rows = []
    for name, point in POINTS.items():
        for on_all in (0.0, 0.2):
            row = {
                "name": name + (" + all" if on_all else ""),
                # Exit shares do not account for the dense pass on all pixels.
                "ceiling": None if on_all else round(ceiling(macs, point.shares), 3),
                **measure(model, images, point.shares, on_all),
            }
            rows.append(row)
            print(sentence(row), flush=True)
    if given.json:
        result = {
            "command": command_line("python tools/bench_training_step.py", sys.argv[1:]),
            "preset": given.preset, "size": [height, width], "batch": given.batch,
            "rounds": given.rounds, "rows": rows,
            "torch": torch.__version__, "device": device(given.device), "environment": environment,
        }  # fmt: skip
        write_json(given.json, result, option="--json")
    return 0


def build(preset: str) -> Cascade:
    """The network with random weights."""
    torch.manual_seed(0)
    model = build_cascade(preset, CLASSES)
    return model.to(memory_format=torch.channels_last)  # type: ignore[call-overload,no-any-return]


def to_input(images: np.ndarray, preset: str, device: str) -> Tensor:
    """Convert BGR images, uint8 [N, H, W, 3], to the network's input, float [N, 3, H, W]."""
    network = find_preset(preset)
    x = (images - np.float32(network.mean)) / np.float32(network.std)
    return torch.from_numpy(x.astype(np.float32)).permute(0, 3, 1, 2).to(device)


def operations(preset: str, size: tuple[int, int]) -> StageMacs:
    """Operations per image and stage, from the exported graph."""
    with tempfile.TemporaryDirectory() as folder:
        path = Path(folder) / "model.onnx"
        export_file(path, preset=preset, checkpoint=None, size=size)
        return stage_macs(onnx.load(str(path)), size)


def ceiling(macs: StageMacs, shares: Shares) -> float:
    """Ratio of dense operations to those on the pixels that reach each stage.

    The backward pass has twice the operations of the forward pass in every layer, so both have the
    same ratio.
    """
    return macs.at(1.0, 1.0) / macs.at(1.0 - shares[0], shares[2])


def thresholds(model: Cascade, x: Tensor, shares: Shares) -> tuple[float, float]:
    """Thresholds that give about these exit shares on a batch."""
    with torch.no_grad():
        model.eval()
        first = model(x, (1.0, 1.0)).logits[0].softmax(1).amax(1)
        one = float(first.float().quantile(1.0 - shares[0]))
        second = model(x, (one, 1.0))
        reached = second.logits[1].softmax(1).amax(1)[second.regions[0].hard[:, 0]]
        two = float(reached.float().quantile(shares[2] / (1.0 - shares[0])))
    return one, two


def step(model: Cascade, x: Tensor, label: Tensor, phase: Phase, form: str) -> list[float]:
    """Run a forward and backward pass; returns the exit shares."""
    model.zero_grad()
    found = objective(model, x, label, phase, None, FORMS[form])
    found.total.backward()  # type: ignore[no-untyped-call]
    if x.is_cuda:
        torch.cuda.synchronize()
    return found.shares or []


def measure(
    model: Cascade, images: list[Tensor], shares: Shares, on_all: float
) -> dict[str, object]:
    """Measure milliseconds of both forms, their ratio, and the exit shares."""
    generator = torch.Generator().manual_seed(0)
    rhos = [thresholds(model, x, shares) for x in images]
    model.train()
    freeze_batch_norm(model)  # as in fine-tuning
    for head in model.heads:
        head.eval()  # without dropout both forms see the same confidences
    phases = [
        Phase(loss="cascade", epochs=1, exit=Exit(rho=rho), final_on_all=on_all) for rho in rhos
    ]
    labels = [
        torch.randint(
            0, CLASSES, (len(x), *x.shape[2:]), generator=generator, dtype=torch.uint8
        ).to(x.device)
        for x in images
    ]
    left: list[list[float]] = []

    def lane(form: str) -> timing.Lane[list[float]]:
        def run(number: int) -> list[float]:
            return step(model, images[number], labels[number], phases[number], form)

        return timing.Lane(form, run, before=run, collect=left.append)

    lanes = [lane(form) for form in FORMS]
    timing.measure([lanes], len(images) - WARMUP, WARMUP)
    times = {lane.name: lane.times for lane in lanes}
    dense, region = times["masked dense"], times["region"]
    return {
        "shares": [round(float(s), 3) for s in np.mean(left, 0)],
        "masked_dense_ms": round(float(np.median(dense)), 1),
        "region_ms": round(float(np.median(region)), 1),
        "speedup": round(timing.ratio(dense, region), 3),
    }


def sentence(row: dict[str, object]) -> str:
    """Format a row."""
    limit = f", ceiling {row['ceiling']}x" if row["ceiling"] else ""
    return (
        f"{row['name']}: masked dense {row['masked_dense_ms']} ms, region {row['region_ms']} ms, "
        f"{row['speedup']}x{limit}, left {row['shares']}"
    )


def device(name: str) -> str:
    """Describe the device."""
    return torch.cuda.get_device_name(name) if name.startswith("cuda") else "cpu"


if __name__ == "__main__":
    sys.exit(main())
