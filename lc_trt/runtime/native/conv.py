"""Region convolution on rows."""

from __future__ import annotations

import ctypes
from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np

from lc_trt.runtime.native.element_type import ElementType
from lc_trt.runtime.native.library import NativeLibrary, Pool, RowsRecord
from lc_trt.runtime.native.rows import Array, Rows, checked


@dataclass(frozen=True)
class ConvInput:
    """Rows that a convolution reads.

    Attributes:
        rows: the rows.
        table: int32 [results, taps], which rows each result reads; a number that is no row stands
            for zeros. None: result r reads row r.
    """

    rows: Rows
    table: Array | None = None


class NativeConv:
    """A convolution with packed weights, for the instruction set in use when it is made.

    Args:
        library: the library.
        element_type: of the input rows.
        channels: of each input; the inputs are convolved as if they were concatenated.
        weight: [outputs, channels of all inputs, kh, kw], float32, or int8 where the rows are INT8.
        scale: float32 [outputs], factor of the sums; None for 1.
        bias: float32 [outputs]; None for 0.

    Raises:
        LcTrtError: shapes that the library does not take.
        ValueError: weights of another type or shape.
    """

    def __init__(
        self,
        library: NativeLibrary,
        element_type: ElementType,
        channels: Sequence[int],
        weight: Array,
        scale: Array | None = None,
        bias: Array | None = None,
    ) -> None:
        self.library, self.element_type, self.channels = library, element_type, tuple(channels)
        self.outputs, cin, kh, kw = weight.shape
        self.taps = kh * kw
        if cin != sum(channels):
            raise ValueError(f"weights for {cin} channels, expected {sum(channels)}")
        checked(weight, np.int8 if element_type.is_integer else np.float32)
        for parameter in (scale, bias):
            if parameter is not None and checked(parameter, np.float32).shape != (self.outputs,):
                raise ValueError(f"shape {parameter.shape}, expected ({self.outputs},)")
        self._handle: int | None = library.call(
            "conv_create", element_type, len(self.channels),
            (ctypes.c_int32 * len(self.channels))(*self.channels), self.taps, self.outputs,
            weight.ctypes.data, None if scale is None else scale.ctypes.data,
            None if bias is None else bias.ctypes.data,
        )  # fmt: skip

    def __call__(
        self,
        pool: Pool,
        inputs: Sequence[ConvInput],
        results: int,
        *,
        relu: bool = False,
        residual: ConvInput | None = None,
        residual_factor: float = 1.0,
        out_type: ElementType | None = None,
    ) -> Rows:
        """activation(scale * sum of products + bias + residual_factor * residual).

        Args:
            pool: to run on.
            inputs: one per entry of ``channels``.
            results: number of results.
            relu: whether the activation is ReLU; a NaN stays one.
            residual: rows with ``outputs`` channels, of any type, with a table of one tap.
            residual_factor: its factor.
            out_type: of the result; default that of the inputs.

        Raises:
            LcTrtError: arguments that the library does not take.
            ValueError: inputs of another type or shape.
        """
        out_type = self.element_type if out_type is None else out_type
        self._check(inputs, results)
        if residual is not None and (
            residual.rows.channels != self.outputs
            or (residual.table is not None and residual.table.shape != (results, 1))
        ):
            raise ValueError(f"residual of {residual.rows.channels}, expected {self.outputs}")
        out = Rows.empty(self.library, out_type, results, self.outputs)
        records = [i.rows.record(i.table) for i in inputs]
        self.library.call(
            "conv_run", self._handle, pool.handle, (RowsRecord * len(records))(*records),
            None if residual is None else ctypes.byref(residual.rows.record(residual.table)),
            ElementType.F32 if residual is None else residual.rows.type, residual_factor, relu,
            results, out.pointer, out_type, out.stride,
        )  # fmt: skip
        return out

    def _check(self, inputs: Sequence[ConvInput], results: int) -> None:
        found = tuple(i.rows.channels for i in inputs)
        if found != self.channels or any(i.rows.type != self.element_type for i in inputs):
            raise ValueError(
                f"inputs of {found} channels, expected {self.channels} of {self.element_type.name}"
            )
        for i in inputs:
            if i.table is not None and i.table.shape != (results, self.taps):
                raise ValueError(f"table of shape {i.table.shape}, expected {results, self.taps}")

    def __del__(self) -> None:
        if getattr(self, "_handle", None) is not None:
            self.library.call("conv_destroy", self._handle)
            self._handle = None
