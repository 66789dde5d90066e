"""A cascade run by the kernels: PyTorch for stage 1, the harness for what is on rows.

Rows, index and count stay on the device and nothing waits for it, so that the whole pass can be
captured in a CUDA graph, which then serves any region.
"""

from __future__ import annotations

import copy
from dataclasses import dataclass

import torch
from torch import Tensor

from gpubench.dense import ready
from gpubench.kernels import Kernels, Rows
from gpubench.plan import Features, Plan, plan_of
from lc_trt.model.cascade import OUTPUT_STRIDE, Cascade
from lc_trt.model.region import CompactRegion


@dataclass
class Pass:
    """What a pass leaves in memory that the next one writes again, at the feature map's size.

    Attributes:
        probabilities: float32 [N, K, h, w]; confidence: float32 [N, 1, h, w], the largest.
        logits: of the stage that each pixel left at, [N, K, h, w].
        stages: uint8 [N, 1, h, w], 1, 2 or 3.
        hard: bool [N, 1, h, w] for stages 2 and 3: the pixels that they computed.
    """

    probabilities: Tensor
    confidence: Tensor
    logits: Tensor
    stages: Tensor
    hard: list[Tensor]


class Stage:
    """Stage 2 or 3 with its head, and the memory they work in."""

    def __init__(self, plan: Plan, trunk: Features, head: Features, room: Rows, entry: int) -> None:
        self.plan, self.trunk, self.head = plan, trunk, head
        self.region, self.entry = room, entry
        self.hard: Tensor
        self.buffers: list[Tensor] = []

    def allocate(self, dtype: torch.dtype, device: torch.device) -> None:
        """Memory for the buffers: those whose lives do not meet share it, as in an engine."""
        last = {part.buffer: len(self.plan.steps) for part in (*self.trunk, *self.head)}
        for number, step in enumerate(self.plan.steps):
            for buffer in step.reads:
                last[buffer] = max(last.get(buffer, 0), number)
        free: dict[int, list[Tensor]] = {}

        def take(buffer: int) -> Tensor:
            width = self.plan.widths[buffer]
            if free.get(width):
                return free[width].pop()
            return torch.empty(self.region.max_rows, width, dtype=dtype, device=device)

        memory = {buffer: take(buffer) for buffer in range(self.entry)}
        for number, step in enumerate(self.plan.steps):
            memory[step.out] = take(step.out)
            for buffer, at in last.items():
                if at == number:
                    free.setdefault(self.plan.widths[buffer], []).append(memory[buffer])
        self.buffers = [memory[i] for i in range(len(self.plan.widths))]

    def run(self, kernels: Kernels) -> Tensor:
        """All steps; the logits' rows."""
        for step in self.plan.steps:
            kernels.run(step, self.buffers, self.region, None)
        return self.buffers[self.head[0].buffer]


class KernelCascade:
    """``model`` for batches of one size; ``rho``, float32 [2], is read on the device."""

    def __init__(
        self, model: Cascade, kernels: Kernels, batch: int, size: tuple[int, int],
        dtype: torch.dtype, form: str,
    ) -> None:  # fmt: skip
        self.kernels, self.dtype, device = kernels, dtype, kernels.device
        self.first = ready(model.stages[0], form, dtype, device)
        self.head = ready(model.heads[0], form, dtype, device)
        height, width = (-(-side // OUTPUT_STRIDE) for side in size)
        shape = (batch, height, width)
        self.rho = torch.ones(2, dtype=torch.float32, device=device)
        self.active = torch.ones(batch, 1, height, width, dtype=torch.bool, device=device)
        self.stages = []
        widths = [model.heads[0][0].conv.in_channels]
        for number in (1, 2):
            plan, (trunk, head) = plan_of(
                model.stages[number].eval(), model.heads[number].eval(), widths=widths
            )
            for step in plan.convs():
                step.weight = step.weight.to(device, dtype)
                step.bias = step.bias.to(device, dtype)
            stage = Stage(plan, trunk, head, Rows.empty(shape, device), len(widths))
            stage.hard = torch.empty_like(self.active)
            stage.allocate(dtype, device)
            self.stages.append(stage)
            widths = [part.channels for part in trunk]

    def input(self, x: Tensor) -> Tensor:
        """A batch, float [N, 3, H, W], as `__call__` takes it."""
        x = x.to(self.kernels.device, self.dtype)
        return x.contiguous(memory_format=torch.channels_last)

    @torch.inference_mode()
    def __call__(self, x: Tensor) -> Pass:
        """One pass."""
        features = self.first(x).contiguous(memory_format=torch.channels_last)
        logits = self.head(features).contiguous()
        probabilities, confidence = _sure(logits)
        active, stages = self.active, torch.ones_like(self.active, dtype=torch.uint8)
        before: Stage | None = None
        for number, stage in enumerate(self.stages):
            rho = self.rho[number : number + 1]
            self.kernels.select(confidence, active, rho, stage.region, stage.hard)
            if before is None:
                self.kernels.gather(features, stage.region, stage.buffers[0])
            else:
                for entry, part in enumerate(before.trunk):
                    if part.channels != before.plan.widths[part.buffer]:
                        raise ValueError("a stage ends with a part of a buffer")
                    x_part, y = before.buffers[part.buffer], stage.buffers[entry]
                    self.kernels.restrict(x_part, before.region, stage.region, y)
            self.kernels.scatter(stage.run(self.kernels), stage.region, logits)
            probabilities, confidence = _sure(logits)
            stages = stages + stage.hard
            active, before = stage.hard, stage
        hard = [stage.hard for stage in self.stages]
        return Pass(probabilities, confidence, logits, stages, hard)


def _sure(logits: Tensor) -> tuple[Tensor, Tensor]:
    probabilities = logits.float().softmax(1)
    return probabilities, probabilities.amax(1, keepdim=True)


@torch.inference_mode()
def reference_logits(model: Cascade, x: Tensor, hard: list[Tensor]) -> Tensor:
    """What PyTorch's cascade computes on given regions, [N, K, h, w], in the type of ``x``.

    The regions are given because a rounding that moves one pixel across a threshold changes its
    neighbours for good: types are compared on the same regions.
    """
    features = model.stages[0](x)
    logits = model.heads[0](features)
    previous: CompactRegion | None = None
    for number, mask in enumerate(hard, start=1):
        here = CompactRegion(mask)
        features = here.gather(features) if previous is None else here.restrict(features, previous)
        features = model.stages[number](features, here)
        logits = here.scatter(model.heads[number](features, here), logits)
        previous = here
    return logits


def disagreement(cascade: KernelCascade, model: Cascade, x: Tensor) -> float:
    """``|out - ref| / |ref|`` of a pass's logits; ``ref`` in the type of ``x`` and of ``model``.

    Raises:
        ValueError: a pass whose regions are not those that its own confidences ask for.
    """
    found = cascade(cascade.input(x))
    _check_regions(cascade, model, found)
    reference = reference_logits(model, x, found.hard)
    return float((found.logits.to(reference) - reference).norm() / reference.norm())


@torch.inference_mode()
def rounding(cascade: KernelCascade, model: Cascade, x: Tensor) -> float:
    """The same distance for PyTorch's cascade in the executor's type, on its last regions.

    What the type costs, and so what may be asked of the kernels.
    """
    hard = [stage.hard for stage in cascade.stages]
    reference = reference_logits(model, x, hard)
    lower = copy.deepcopy(model).to(cascade.dtype)
    found = reference_logits(lower, x.to(cascade.dtype), hard).to(reference)
    return float((found - reference).norm() / reference.norm())


def _check_regions(cascade: KernelCascade, model: Cascade, found: Pass) -> None:
    first, second = found.hard
    if bool((second & ~first).any()):
        raise ValueError("stage 3 has pixels that stage 2 did not have")
    # A pixel that left keeps its confidence: those at stage 1 are above its threshold, and so on.
    for number, left in enumerate((~first, first & ~second)):
        if bool((found.confidence[left] <= cascade.rho[number]).any()):
            raise ValueError(f"pixels left at stage {number + 1} below its threshold")
    if not torch.equal(found.stages, 1 + first.to(torch.uint8) + second.to(torch.uint8)):
        raise ValueError("the stages are not those of the regions")
