"""INT8 region convolutions for the bench, and the dense product to compare them with."""

from __future__ import annotations

from dataclasses import replace

import torch
from torch import Tensor

from gpubench.kernels import RegionConv

LARGEST = 127  # weights are symmetric; activations may also be -128


def quantize(x: Tensor, scale: float) -> Tensor:
    """Quantise to int8, rounding half to even and saturating, as RegionQuantize does.

    Args:
        x: floating-point array.
        scale: scale of the result.
    """
    return (x.float() / scale).round().clamp(-LARGEST - 1, LARGEST).to(torch.int8)


def quantized(conv: RegionConv, x: float, y: float, residual: float) -> RegionConv:
    """Quantise a float32 convolution: per-channel weights, with the other scales folded.

    As in TensorRT, input scales do not reach the kernel. The caller replaces its memory.

    Args:
        conv: convolution in float32.
        x: scale of the input.
        y: scale of the output; 1 for floating point.
        residual: scale of the residual; 1 for floating point.
    """
    largest = conv.weight.abs().flatten(1).amax(1)
    per_channel = torch.where(largest > 0, largest, torch.ones_like(largest)) / LARGEST
    weight = (conv.weight / per_channel[:, None, None, None]).round().to(torch.int8)
    return replace(
        conv, weight=weight, bias=conv.bias / y, scales=per_channel * (x / y),
        residual_factor=residual / y,
    )  # fmt: skip


class DenseProduct:
    """The INT8 product of a dense convolution, [M, K] x [K, N] to INT32, with cuBLASLt.

    torch has no INT8 convolution on a GPU. The product reads prepared patches and does not
    requantise, but writes four bytes per output instead of one.
    """

    UNIT, LEAST_ROWS = 8, 32  # of `torch._int_mm`: multiples of 8, more than 16 rows

    def __init__(self, rows: int, depth: int, channels: int, device: torch.device) -> None:
        depth, channels = (-(-side // self.UNIT) * self.UNIT for side in (depth, channels))
        generator = torch.Generator(device).manual_seed(0)

        def random(*sides: int) -> Tensor:
            return torch.randint(
                -LARGEST, LARGEST + 1, sides, generator=generator, device=device, dtype=torch.int8
            )

        self.patches = random(max(rows, self.LEAST_ROWS), depth)
        self.weight = random(channels, depth).t()  # column-major, as cuBLASLt requires

    def __call__(self) -> Tensor:
        """int32 [M, N]."""
        return torch._int_mm(self.patches, self.weight)
