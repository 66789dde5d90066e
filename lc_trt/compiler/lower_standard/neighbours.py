"""Regions, and where in them a pixel's neighbours stand."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, field

import numpy as np

from lc_trt.compiler.graph import Array
from lc_trt.compiler.lower_standard.builder import Builder

Taps = tuple[tuple[int, int], ...]  # (dy, dx) of the pixels that a window reads


@dataclass
class Region:
    """The tensors that stand for one RegionSelect's outputs.

    Attributes:
        prefix: of the names of what is made of them.
        rows: int64 [R], padded.
        hard: bool [N, 1, h, w].
        flat_index: int64 [1 + N*h*w]: 0, then row + 1 at a region's pixel, 0 elsewhere.
        size: (N, h, w).
    """

    prefix: str
    rows: str
    hard: str
    flat_index: str
    size: tuple[int, int, int]
    tables: dict[Taps, str] = field(default_factory=dict)
    product_tables: dict[Taps, str] = field(default_factory=dict)


def window(kernel: Sequence[int], dilations: Sequence[int]) -> Taps:
    """The taps of a kernel, row by row.

    Args:
        kernel: (height, width).
        dilations: (y, x).
    """
    reach = [
        [(tap - side // 2) * dilation for tap in range(side)]
        for side, dilation in zip(kernel, dilations, strict=True)
    ]
    return tuple((dy, dx) for dy in reach[0] for dx in reach[1])


def table(b: Builder, region: Region, taps: Taps) -> str:
    """int64 [R, taps]: row + 1 of each neighbour, 0 where there is none.

    Args:
        b: gets the nodes, unless the region has the table already.
        region: whose rows have neighbours.
        taps: which neighbours.
    """
    if taps not in region.tables:
        p = b.graph.unique(f"{region.prefix}/table_{len(taps)}")
        positions = b.const(f"{p}/positions", neighbour_positions(region.size, taps), "int64")
        of_rows = b.add("Gather", positions, region.rows, name=f"{p}/taps", axis=0)
        region.tables[taps] = b.add("Gather", region.flat_index, of_rows, name=f"{p}/rows", axis=0)
    return region.tables[taps]


def product_table(b: Builder, region: Region, taps: Taps) -> str:
    """`table` for rows that hold one tap's product each: row r, tap t stands at r * taps + t.

    Args:
        b: as for `table`.
        region: as for `table`.
        taps: as for `table`.
    """
    if taps not in region.product_tables:
        rows = table(b, region, taps)
        p = f"{rows}/per_tap"
        base = b.add("Mul", rows, b.const(f"{p}/taps", len(taps), "int64"), name=f"{p}/base")
        # (row + 1 - 1) * taps + t + 1 where there is a neighbour; never positive where not.
        offset = b.const(f"{p}/offset", np.arange(len(taps))[None] + 1 - len(taps), "int64")
        entry = b.add("Add", base, offset, name=f"{p}/entry")
        there = b.add("Min", rows, b.const(f"{p}/one", 1, "int64"), name=f"{p}/there")
        region.product_tables[taps] = b.add("Mul", entry, there, name=p)
    return region.product_tables[taps]


def neighbour_positions(size: tuple[int, int, int], taps: Taps) -> Array:
    """int64 [N*h*w, taps]: 1 + flat position of each neighbour, 0 outside the image.

    Args:
        size: (N, h, w).
        taps: which neighbours.
    """
    n, h, w = size
    tall = max(abs(dy) for dy, _ in taps)
    wide = max(abs(dx) for _, dx in taps)
    numbers = np.arange(1, n * h * w + 1).reshape(n, h, w)
    padded = np.pad(numbers, ((0, 0), (tall, tall), (wide, wide)))
    found = [padded[:, tall + dy : tall + dy + h, wide + dx : wide + dx + w] for dy, dx in taps]
    return np.stack(found, axis=-1).reshape(n * h * w, len(taps))
