"""The least time a layer can take, from its operations and bytes and the GPU's two rates."""

from __future__ import annotations

from dataclasses import dataclass

from gpubench.shapes import Layer


@dataclass(frozen=True)
class Rates:
    """What a GPU can do.

    Attributes:
        flops: FP16 products with FP32 sums, dense, operations a second.
        bandwidth: device memory, bytes a second.
        source: who says so.
    """

    flops: float
    bandwidth: float
    source: str


H100_DATASHEET = Rates(
    989.4e12, 3.35e12, "NVIDIA H100 SXM datasheet: 1,979 TFLOP/s with sparsity, half without"
)
H100_MEASURED = Rates(
    798e12, 3.0e12,
    "one H100 80GB HBM3, PyTorch 2.11 (cu130): a BF16 product of 8192^3; a copy, counted both ways",
)  # fmt: skip
# Rates of INT8 with INT32 sums over those of FP16.
INT8_OF_FP16 = 2.0  # the same datasheet: 3,958 TOPS beside 1,979 TFLOP/s, both with sparsity
# The kernel multiplies by mma.sync; on Hopper only wgmma reaches the tensor cores' full rate.
MMA_SYNC = 0.629
MMA_SYNC_SOURCE = (
    "W. Luo et al., Benchmarking and Dissecting the Nvidia Hopper GPU Architecture via "
    "Microbenchmarking, 2024: mma reaches 62.9 % of the peak on average"
)


@dataclass(frozen=True)
class Bound:
    """The least cost of a layer on some rows.

    Attributes:
        flops, data: operations, and bytes if every input is read once and every output written.
        ms: the longer of the two times.
        limit: which that is, ``arithmetic`` or ``memory``.
    """

    flops: float
    data: float
    ms: float
    limit: str


def operations(layer: Layer, rows: float) -> float:
    """Of ``rows`` rows, two a multiply-accumulate."""
    return 2.0 * rows * layer.taps * layer.channels * layer.out_channels


def part_of_flops(element: int) -> float:
    """Of the rate of FP16, for values of ``element`` bytes; FP32 is given FP16's, as a floor."""
    return INT8_OF_FP16 if element == 1 else 1.0


def bound(layer: Layer, rows: float, rates: Rates, element: int = 2, reached: float = 1.0) -> Bound:
    """Of ``rows`` active rows, ``element`` bytes a value; region tables are left out.

    Args:
        reached: what of the arithmetic rate can be had.
    """
    flops = operations(layer, rows)
    weights = layer.taps * layer.channels * layer.out_channels
    a_row = layer.channels + layer.out_channels * (2 if layer.residual else 1)
    data = float(element) * (rows * a_row + weights)
    arithmetic = flops / (rates.flops * part_of_flops(element) * reached)
    memory = data / rates.bandwidth
    limit = "arithmetic" if arithmetic >= memory else "memory"
    return Bound(flops, data, max(arithmetic, memory) * 1e3, limit)
