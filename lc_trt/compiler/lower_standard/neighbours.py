"""Regions, and lookup tables of the neighbours of their pixels."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, field

import numpy as np

from lc_trt.compiler.graph import Array
from lc_trt.compiler.lower_standard.builder import Builder

Taps = tuple[tuple[int, int], ...]  # (dy, dx) of the pixels that a window reads


@dataclass
class Region:
    """The lowered outputs of a RegionSelect.

    Attributes:
        prefix: prefix of the names of derived tensors.
        rows: padded row numbers, int64 [R].
        hard: mask of hard pixels, bool [N, 1, h, w].
        flat_index: int64 [1 + N*h*w]: 0, then row + 1 of each hard pixel and 0 of the others.
        size: (N, h, w).
        tables: neighbour tables by taps, see `table`.
        map_tables: neighbour tables of rows of a dense map by taps, see `map_table`.
        product_tables: product tables by taps, see `product_table`.
    """

    prefix: str
    rows: str
    hard: str
    flat_index: str
    size: tuple[int, int, int]
    tables: dict[Taps, str] = field(default_factory=dict)
    map_tables: dict[Taps, str] = field(default_factory=dict)
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
    """Neighbour table of a region's own rows, int64 [R, taps]: row + 1, 0 if missing.

    Args:
        b: builder for the nodes, unless the region already has the table.
        region: region of the rows.
        taps: taps of the window.
    """
    if taps not in region.tables:
        positions = map_table(b, region, taps)
        region.tables[taps] = b.add(
            "Gather", region.flat_index, positions, name=f"{positions}/rows", axis=0
        )
    return region.tables[taps]


def map_table(b: Builder, region: Region, taps: Taps) -> str:
    """Neighbour table of all rows of a dense map, int64 [R, taps]: position + 1, 0 if missing.

    Args:
        b: builder for the nodes, unless the region already has the table.
        region: cells to compute.
        taps: taps of the window.
    """
    if taps not in region.map_tables:
        p = b.graph.unique(f"{region.prefix}/table_{len(taps)}")
        positions = b.const(f"{p}/positions", neighbour_positions(region.size, taps), "int64")
        region.map_tables[taps] = b.add("Gather", positions, region.rows, name=f"{p}/taps", axis=0)
    return region.map_tables[taps]


def product_table(b: Builder, region: Region, taps: Taps) -> str:
    """`table` for per-tap products of rows: that of row r and tap t is at r * taps + t.

    Args:
        b: builder for the nodes, unless the region already has the table.
        region: region of the rows.
        taps: taps of the window.
    """
    if taps not in region.product_tables:
        rows = table(b, region, taps)
        p = f"{rows}/per_tap"
        base = b.add("Mul", rows, b.const(f"{p}/taps", len(taps), "int64"), name=f"{p}/base")
        # (row + 1 - 1) * taps + t + 1 for an existing neighbour; not positive for a missing one.
        offset = b.const(f"{p}/offset", np.arange(len(taps))[None] + 1 - len(taps), "int64")
        entry = b.add("Add", base, offset, name=f"{p}/entry")
        exists = b.add("Min", rows, b.const(f"{p}/one", 1, "int64"), name=f"{p}/exists")
        region.product_tables[taps] = b.add("Mul", entry, exists, name=p)
    return region.product_tables[taps]


def neighbour_positions(size: tuple[int, int, int], taps: Taps) -> Array:
    """Positions of neighbours, int64 [N*h*w, taps]: 1 + flat position, 0 outside the image.

    Args:
        size: (N, h, w).
        taps: taps of the window.
    """
    n, h, w = size
    tall = max(abs(dy) for dy, _ in taps)
    wide = max(abs(dx) for _, dx in taps)
    numbers = np.arange(1, n * h * w + 1).reshape(n, h, w)
    padded = np.pad(numbers, ((0, 0), (tall, tall), (wide, wide)))
    shifted = [padded[:, tall + dy : tall + dy + h, wide + dx : wide + dx + w] for dy, dx in taps]
    return np.stack(shifted, axis=-1).reshape(n * h * w, len(taps))
