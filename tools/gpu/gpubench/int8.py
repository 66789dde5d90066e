"""INT8 region convolutions in the bench: a step's codes, and what a dense one is compared with."""

from __future__ import annotations

from dataclasses import replace

import torch
from torch import Tensor

from gpubench.plan import ConvStep

LARGEST = 127  # weights are symmetric; activations may also be -128


def codes(x: Tensor, scale: float) -> Tensor:
    """int8, rounded half to even and saturated, as RegionQuantize does."""
    return (x.float() / scale).round().clamp(-LARGEST - 1, LARGEST).to(torch.int8)


def quantised(step: ConvStep, x: float, y: float, residual: float) -> ConvStep:
    """A float32 step in INT8: weights by output channel, the other scales folded as for TensorRT.

    Args:
        x, y, residual: the scales of the input, the output and the residual.
    """
    largest = step.weight.abs().flatten(1).amax(1)
    by_channel = torch.where(largest > 0, largest, torch.ones_like(largest)) / LARGEST
    weight = (step.weight / by_channel[:, None, None, None]).round().to(torch.int8)
    scale = by_channel * (x / y)
    return replace(step, weight=weight, bias=step.bias / y, scale=scale, factor=residual / y)


class DenseProduct:
    """The INT8 product that a dense convolution is, [M, K] x [K, N] to INT32, by cuBLASLt.

    torch has no INT8 convolution on a GPU. This one has its patches laid out already and does not
    requantise, but writes four bytes an output where a convolution would write one.
    """

    UNIT, LEAST_ROWS = 8, 32  # of `torch._int_mm`: multiples of 8, more than 16 rows

    def __init__(self, rows: int, depth: int, channels: int, device: torch.device) -> None:
        depth, channels = (-(-side // self.UNIT) * self.UNIT for side in (depth, channels))
        generator = torch.Generator(device).manual_seed(0)

        def random(*sides: int) -> Tensor:
            made = torch.randint(
                -LARGEST, LARGEST + 1, sides, generator=generator, device=device, dtype=torch.int8
            )
            return made

        self.patches = random(max(rows, self.LEAST_ROWS), depth)
        self.weight = random(channels, depth).t()  # column-major, as cuBLASLt wants it

    def __call__(self) -> Tensor:
        """int32 [M, N]."""
        return torch._int_mm(self.patches, self.weight)
