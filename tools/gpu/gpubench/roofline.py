"""Roofline model: lower bounds of a layer's time from its operations and bytes."""

from __future__ import annotations

from dataclasses import dataclass

import torch

from gpubench.layers import Layer


@dataclass(frozen=True)
class Rates:
    """Rates of a GPU.

    Attributes:
        flops: dense FP16 products with FP32 accumulators, operations per second.
        bandwidth: device memory, bytes per second.
        source: source of the values.
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
# Rate of INT8 with INT32 accumulators relative to FP16.
INT8_OF_FP16 = 2.0  # same datasheet: 3,958 TOPS compared with 1,979 TFLOP/s, both with sparsity
# The kernel uses mma.sync; on Hopper, only wgmma reaches the full rate of the tensor cores.
MMA_SYNC = 0.629
MMA_SYNC_SOURCE = (
    "W. Luo et al., Benchmarking and Dissecting the Nvidia Hopper GPU Architecture via "
    "Microbenchmarking, 2024: mma reaches 62.9 % of the peak on average"
)


@dataclass(frozen=True)
class Bound:
    """Lower bound of the cost of a layer.

    Attributes:
        flops, data: operations, and bytes if every input is read once and every output written.
        ms: the longer of the two times.
        limit: ``arithmetic`` or ``memory``, whichever is longer.
    """

    flops: float
    data: float
    ms: float
    limit: str


def operations(layer: Layer, rows: float) -> float:
    """Number of operations, two per multiply-accumulate.

    Args:
        layer: region convolution.
        rows: active rows.
    """
    return 2.0 * rows * layer.macs


def bytes_of(kind: str) -> int:
    """Bytes per value.

    Args:
        kind: type, such as ``float16``.
    """
    return int(getattr(torch, kind).itemsize)


def bound(layer: Layer, rows: float, rates: Rates, reached: float = 1.0) -> Bound:
    """Lower bound for a layer, without region tables.

    Args:
        layer: region convolution in its own types; FP32 uses the rate of FP16, as a lower bound.
        rows: active rows.
        rates: rates of the GPU.
        reached: attainable share of the arithmetic rate.
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
