"""The least time that a layer can take: its operations and bytes over the GPU's two rates."""

from __future__ import annotations

from dataclasses import dataclass

import torch

from gpubench.layers import Layer


@dataclass(frozen=True)
class Rates:
    """What a GPU can do.

    Attributes:
        flops: FP16 products with FP32 sums, dense, operations per second.
        bandwidth: device memory, bytes per second.
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
    """Two per multiply-accumulate.

    Args:
        layer: a region convolution.
        rows: active ones.
    """
    return 2.0 * rows * layer.macs


def bytes_of(kind: str) -> int:
    """Of a value.

    Args:
        kind: a type, such as ``float16``.
    """
    return int(getattr(torch, kind).itemsize)


def bound(layer: Layer, rows: float, rates: Rates, reached: float = 1.0) -> Bound:
    """Of a layer; region tables are left out.

    Args:
        layer: a region convolution, in its own types. FP32 is given FP16's rate, as a floor.
        rows: active ones.
        rates: of the GPU.
        reached: what of the arithmetic rate can be had.
    """
    flops = operations(layer, rows)
    of_fp16 = INT8_OF_FP16 if layer.type == "int8" else 1.0
    moved = layer.channels * bytes_of(layer.type) + layer.out_channels * bytes_of(layer.output)
    if layer.residual is not None:
        moved += layer.out_channels * bytes_of(layer.residual)
    data = float(rows * moved + layer.macs * bytes_of(layer.type))
    arithmetic = flops / (rates.flops * of_fp16 * reached)
    memory = data / rates.bandwidth
    limit = "arithmetic" if arithmetic >= memory else "memory"
    return Bound(flops, data, max(arithmetic, memory) * 1e3, limit)
