"""Regions of a map's pixels, and the rows that operators on them read."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np

from lc_trt.runtime.native.library import Grid, NativeLibrary
from lc_trt.runtime.native.rows import Array, checked


@dataclass(frozen=True)
class NativeRegion:
    """A set of pixels.

    Attributes:
        rows: int32 [R], flat positions of its pixels in N x H x W, ascending.
        index: int32 [N, H, W], the row of each of its pixels, and -1 elsewhere.
    """

    library: NativeLibrary
    rows: Array
    index: Array

    @property
    def grid(self) -> Grid:
        """N, H and W."""
        return Grid(*self.index.shape)

    def neighbours(
        self, kernel: tuple[int, int], dilation: tuple[int, int], source: NativeRegion | None
    ) -> Array:
        """The rows of each pixel's window.

        Args:
            kernel: height and width, odd.
            dilation: height and width.
            source: the region whose rows are read; None for all pixels of a dense map.

        Returns:
            int32 [R, taps], -1 for a neighbour outside the image or the source.
        """
        table = np.empty((len(self.rows), kernel[0] * kernel[1]), np.int32)
        index = None if source is None else source.index.ctypes.data
        self.library.call(
            "neighbours", self.grid, self.rows.ctypes.data, len(self.rows), index, *kernel,
            *dilation, table.ctypes.data,
        )  # fmt: skip
        return table

    def parents(self, source: NativeRegion | None) -> Array:
        """The row of each pixel's parent (y // 2, x // 2).

        Args:
            source: a region at twice the stride; None for all pixels of a dense map.

        Returns:
            int32 [R, 1], -1 for a parent outside the source.
        """
        table = np.empty((len(self.rows), 1), np.int32)
        index = None if source is None else source.index.ctypes.data
        self.library.call(
            "parents", self.grid, self.rows.ctypes.data, len(self.rows), index, table.ctypes.data
        )
        return table


def select(
    library: NativeLibrary,
    score: Array,
    rho: float,
    within: NativeRegion | None = None,
    mask: Array | None = None,
) -> NativeRegion:
    """The region where `not (score > rho)`, so that a NaN is in it.

    Args:
        library: the library.
        score: float32 [N, H, W].
        rho: threshold.
        within: a region of the same grid, or at twice the stride; its other pixels, or their
            children, are not selected.
        mask: bool [N, H, W], likewise.

    Raises:
        ValueError: the shapes do not fit.
    """
    n, h, w = score.shape
    halved = False
    if within is not None:
        halved = within.index.shape != score.shape
        if halved and within.index.shape != (n, -(-h // 2), -(-w // 2)):
            raise ValueError(
                f"region of a map {within.index.shape}, expected {score.shape} or half of it"
            )
    if mask is not None and mask.shape != score.shape:
        raise ValueError(f"mask of shape {mask.shape}, expected {score.shape}")
    rows, index = np.empty(score.size, np.int32), np.empty(score.shape, np.int32)
    count = library.call(
        "select", Grid(n, h, w), checked(score, np.float32).ctypes.data, rho,
        None if mask is None else checked(mask, np.bool_).ctypes.data,
        None if within is None else within.index.ctypes.data, halved, rows.ctypes.data,
        index.ctypes.data,
    )  # fmt: skip
    return NativeRegion(library, rows[:count].copy(), index)
