"""Rows of values, one per pixel of a region, and their way out of dense maps and back."""

from __future__ import annotations

from dataclasses import dataclass
from enum import IntEnum
from typing import Any, TypeAlias

import numpy as np
import numpy.typing as npt

from lc_trt.runtime.native.element_type import ElementType
from lc_trt.runtime.native.library import Grid, NativeLibrary, Pool, RowsRecord

Array: TypeAlias = npt.NDArray[Any]


class Layout(IntEnum):
    """Order of a dense map's axes."""

    NHWC = 0
    NCHW = 1


@dataclass(frozen=True)
class Rows:
    """Rows in the library's layout: BF16 and INT8 rows end with zeros up to 64 bytes.

    Attributes:
        padded: [count, channels and zeros], contiguous, of ``type.dtype``.
        channels: number of channels.
        type: of the values.
    """

    padded: Array
    channels: int
    type: ElementType

    @classmethod
    def empty(
        cls, library: NativeLibrary, element_type: ElementType, count: int, channels: int
    ) -> Rows:
        """Rows with undefined values.

        Args:
            library: knows the layout.
            element_type: of the values.
            count: number of rows.
            channels: number of channels.
        """
        bytes_ = library.call("row_bytes", element_type, channels)
        shape = (count, bytes_ // element_type.dtype.itemsize)
        return cls(np.empty(shape, element_type.dtype), channels, element_type)

    @classmethod
    def of(cls, library: NativeLibrary, values: Array, element_type: ElementType) -> Rows:
        """Copy an array.

        Args:
            library: knows the layout.
            values: [count, channels], cast to the type.
            element_type: of the rows.
        """
        rows = cls.empty(library, element_type, *values.shape)
        rows.padded[:, : rows.channels] = values.astype(element_type.dtype)
        rows.padded[:, rows.channels :] = 0
        return rows

    @property
    def values(self) -> Array:
        """The rows without zeros at their ends, [count, channels], a view."""
        return self.padded[:, : self.channels]

    @property
    def pointer(self) -> int:
        """Address of the first row."""
        return self.padded.ctypes.data

    @property
    def stride(self) -> int:
        """Bytes from row to row."""
        return int(self.padded.shape[1]) * self.type.dtype.itemsize  # NumPy's is 0 for no rows

    def record(self, table: Array | None = None) -> RowsRecord:
        """The rows as an input of the library.

        Args:
            table: int32 [results, taps]; None if result r reads row r.
        """
        pointer = None if table is None else checked(table, np.int32).ctypes.data
        return RowsRecord(self.pointer, len(self.padded), self.stride, pointer)


def checked(array: Array, dtype: npt.DTypeLike) -> Array:
    """An array whose memory the library may read.

    Args:
        array: the array.
        dtype: that it must have.

    Raises:
        ValueError: it has another type, or is not contiguous.
    """
    if array.dtype != np.dtype(dtype) or not array.flags.c_contiguous:
        raise ValueError(
            f"array of {array.dtype} {array.shape}, expected contiguous {np.dtype(dtype)}"
        )
    return array


def map_shape(array: Array, layout: Layout) -> tuple[Grid, int]:
    """Grid and channels of a dense map.

    Args:
        array: float32, of four axes.
        layout: their order.

    Raises:
        ValueError: another type or shape, or not contiguous.
    """
    if array.ndim != 4:
        raise ValueError(f"map of shape {array.shape}, expected four axes")
    checked(array, np.float32)
    n, h, w, c = array.shape
    if layout is Layout.NCHW:
        n, c, h, w = array.shape
    return Grid(n, h, w), c


def gather(
    pool: Pool,
    array: Array,
    rows: Array,
    element_type: ElementType,
    *,
    layout: Layout = Layout.NHWC,
    factor: float = 1.0,
) -> Rows:
    """Rows of a dense map.

    Args:
        pool: to run on.
        array: the map, float32.
        rows: int32 [count], flat positions of pixels; others than those of the map give 0.
        element_type: of the result.
        layout: of the map.
        factor: of the values before they are converted.
    """
    grid, channels = map_shape(array, layout)
    out = Rows.empty(pool.library, element_type, len(rows), channels)
    pool.library.call(
        "gather", pool.handle, grid, array.ctypes.data, layout, channels,
        checked(rows, np.int32).ctypes.data, len(rows), factor, out.pointer, element_type,
        out.stride,
    )  # fmt: skip
    return out


def scatter(
    pool: Pool,
    values: Rows,
    rows: Array,
    array: Array,
    *,
    layout: Layout = Layout.NHWC,
    factor: float = 1.0,
) -> None:
    """Write rows into a dense map.

    Args:
        pool: to run on.
        values: the rows.
        rows: int32 [count], flat positions of pixels; others than those of the map are left out.
        array: the map, float32, changed in place.
        layout: of the map.
        factor: of the values.

    Raises:
        ValueError: the numbers of rows or of channels differ.
    """
    grid, channels = map_shape(array, layout)
    if channels != values.channels or len(rows) != len(values.padded):
        raise ValueError(
            f"{len(values.padded)} rows of {values.channels} channels, "
            f"expected {len(rows)} of {channels}"
        )
    pool.library.call(
        "scatter", pool.handle, grid, values.pointer, values.type, values.stride,
        checked(rows, np.int32).ctypes.data, len(rows), factor, array.ctypes.data, layout, channels,
    )  # fmt: skip


def max_pool(pool: Pool, values: Rows, table: Array) -> Rows:
    """The maximum over windows; a missing row reads 0.

    Args:
        pool: to run on.
        values: the rows.
        table: int32 [results, taps], rows of each window, or -1.
    """
    count, taps = table.shape
    out = Rows.empty(pool.library, values.type, count, values.channels)
    pool.library.call(
        "max_pool", pool.handle, values.pointer, len(values.padded), values.type, values.stride,
        values.channels, checked(table, np.int32).ctypes.data, count, taps, out.pointer, out.stride,
    )  # fmt: skip
    return out
