"""What a network's bench needs beside the networks: frames, thresholds, operations, tactics."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass

import numpy as np
import torch
from torch import Tensor

from gpubench.cascade import KernelCascade, Pass
from gpubench.timing import Backend, median
from lc_trt.bench.operating_points import ALL_LEAVE, Shares, measured_shares, threshold_for
from lc_trt.data.classes import find_classes
from lc_trt.ir.cost import StageMacs, stage_macs
from lc_trt.ir.export import export_cascade
from lc_trt.ir.metadata import ModelInfo
from lc_trt.model.cascade import Cascade, Dense
from lc_trt.model.layers import BatchNorm
from lc_trt.model.presets import find_preset
from lc_trt.video.sample_frames import load_frames

FRAMES = 4  # batches; each round takes the next
TUNING_ROUNDS = 10

Rho = tuple[float, float]


@dataclass
class Frames:
    """Inputs, and for each operating point thresholds for each of them."""

    inputs: list[Tensor]
    rho: dict[str, list[Rho]]

    @classmethod
    def find(
        cls, cascade: KernelCascade, inputs: list[Tensor], points: Mapping[str, Shares]
    ) -> Frames:
        """Thresholds at which these shares of the pixels leave."""
        rho = {name: [thresholds(cascade, x, s) for x in inputs] for name, s in points.items()}
        return cls(inputs, rho)

    @staticmethod
    def photographs(preset: str, batch: int, size: tuple[int, int]) -> list[Tensor]:
        """Batches of photographs, float32 [N, 3, H, W], normalised."""
        network = find_preset(preset)
        images = np.stack(load_frames(None, batch * FRAMES, size))
        x = (images - np.float32(network.mean)) / np.float32(network.std)
        whole = torch.from_numpy(x.astype(np.float32)).permute(0, 3, 1, 2)
        return list(whole.split(batch))


def thresholds(cascade: KernelCascade, x: Tensor, shares: Shares) -> Rho:
    """Exact but for ties: stage 1's confidences first, then stage 2's in the region it has."""
    cascade.rho.fill_(ALL_LEAVE)
    first = cascade(x).confidence.cpu().numpy().copy()
    one = threshold_for(first, round(shares[0] * first.size))
    cascade.rho[0] = one
    found = cascade(x)
    inside = found.hard[0].cpu().numpy()
    second = found.confidence.cpu().numpy()[inside]
    return one, threshold_for(second, round(shares[1] * first.size)) if second.size else ALL_LEAVE


@torch.no_grad()
def calibrate(network: Cascade | Dense, x: Tensor) -> None:
    """Give every batch norm the statistics of a batch.

    Random weights without them let activations grow beyond FP16 (ResNet-101 does), and a GPU
    runs infinities and zeros faster than numbers.
    """
    norms = [module for module in network.modules() if isinstance(module, BatchNorm)]
    network.eval()
    for norm in norms:
        norm.momentum = 1.0
        norm.train()
    if isinstance(network, Cascade):
        network.deep(x)
    else:
        network(x)
    for norm in norms:
        norm.momentum = BatchNorm.momentum
        norm.eval()


def shares_of(found: Pass) -> Shares:
    """Pixels that left at each stage."""
    return measured_shares(found.stages.cpu().numpy())


def operations(model: Cascade, preset: str, size: tuple[int, int]) -> StageMacs:
    """Multiply-accumulates of one image by stage, from the exported graph; ``model`` on the CPU."""
    labels, network = find_classes("voc"), find_preset(preset)
    info = ModelInfo("cascade", preset, labels.names, labels.colours, size)
    return stage_macs(export_cascade(model, info, network.mean, network.std), size)


def tune(cascade: KernelCascade, x: Tensor, backend: Backend) -> dict[str, int]:
    """Give each convolution the tactic that is fastest on the regions of ``x``, as TensorRT does.

    Convolutions of one shape share one choice.

    Returns:
        The tactics by step.
    """
    cascade(x)
    kernels, chosen = cascade.kernels, dict[tuple[object, ...], int]()
    names: dict[str, int] = {}
    for number, stage in enumerate(cascade.stages, start=2):
        for step in stage.plan.convs():
            reads = tuple((part.begin, part.end) for part in step.x)
            shape = (number, reads, tuple(step.weight.shape), step.window, step.residual is None)
            if shape not in chosen:
                times = {
                    tactic: median(
                        backend,
                        backend.record(
                            lambda step=step, stage=stage, tactic=tactic: kernels.run(
                                step, stage.buffers, stage.region, tactic
                            ),
                            copies=5,
                        ),
                        TUNING_ROUNDS,
                    )
                    for tactic in range(1, kernels.tactics(cascade.dtype) + 1)
                }
                chosen[shape] = min(times, key=lambda tactic: times[tactic])
            step.tactic = chosen[shape]
            names[f"{number}/{step.name}"] = step.tactic
    return names
