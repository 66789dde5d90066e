"""Region programs: a whole stage as one call of the native library."""

from __future__ import annotations

import ctypes
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any, NewType

import numpy as np

from lc_trt.runtime.native.element_type import ElementType
from lc_trt.runtime.native.library import NativeLibrary, Pool
from lc_trt.runtime.native.operator import MAX_INPUTS, Kind, OperatorRecord
from lc_trt.runtime.native.rows import Array, Layout, checked

Value = NewType("Value", int)
"""Result of an operator of a program: a dense map, a region or rows."""

Size = tuple[int, int]


@dataclass(frozen=True)
class Binding:
    """An array of the caller's.

    Attributes:
        shape: that it must have.
        dtype: likewise.
    """

    shape: tuple[int, ...]
    dtype: type[np.generic]


class ProgramBuilder:
    """Collects the operators of a program; each method returns its operator's result.

    Rows that are computed on a region can read a dense map of the region's size, rows of any region
    of that size, and, as a 1x1, maps and rows at twice the stride: a pixel reads its parent's.

    Args:
        library: the library.
        batch: number of images.
    """

    def __init__(self, library: NativeLibrary, batch: int = 1) -> None:
        self.library, self.batch = library, batch
        self._records: list[OperatorRecord] = []
        self._bindings: dict[str, Binding] = {}
        self._arrays: list[Array] = []  # that records point to

    @property
    def position(self) -> int:
        """Number of operators so far, for the parts that `Program.run` runs."""
        return len(self._records)

    def map(
        self,
        name: str,
        size: Size,
        channels: int,
        *,
        layout: Layout = Layout.NHWC,
        element_type: ElementType = ElementType.F32,
        factor: float = 1.0,
    ) -> Value:
        """A dense map of the caller's, float32.

        NHWC maps are read where they are as FP32; otherwise pixels are converted when they are
        first read, and only those.

        Args:
            name: of the array.
            size: height and width.
            channels: number of channels.
            layout: of the array.
            element_type: in which rows read it.
            factor: of the values before they are converted; for INT8 1 / scale.
        """
        h, w = size
        shape = (h, w, channels) if layout is Layout.NHWC else (channels, h, w)
        return self._add(
            Kind.MAP, binding=self._bind(name, shape, np.float32), height=h, width=w,
            channels=channels, layout=layout, type=element_type, factor=factor,
        )  # fmt: skip

    def select(self, name: str, threshold: int, size: Size, within: Value | None = None) -> Value:
        """The region where `not (score > threshold)`.

        Args:
            name: of the scores, float32 [N, h, w].
            threshold: which of the run's thresholds.
            size: height and width.
            within: a region of the same size or at twice the stride, which limits it.
        """
        return self._region(Kind.SELECT, name, np.float32, size, within, threshold)

    def mask(self, name: str, size: Size, within: Value | None = None) -> Value:
        """The region where a mask is true.

        Args:
            name: of the mask, bool [N, h, w].
            size: height and width.
            within: as of `select`.
        """
        return self._region(Kind.MASK, name, np.bool_, size, within, 0)

    def conv(
        self,
        region: Value,
        inputs: Sequence[Value],
        weight: Array,
        bias: Array | None = None,
        *,
        scale: Array | None = None,
        dilation: Size = (1, 1),
        relu: bool = False,
        residual: Value | None = None,
        residual_factor: float = 1.0,
        element_type: ElementType = ElementType.F32,
    ) -> Value:
        """activation(scale * conv(inputs) + bias + residual_factor * residual) on a region.

        Args:
            region: where.
            inputs: maps and rows of one type, convolved as if they were concatenated.
            weight: [outputs, channels, kh, kw], int8 where the inputs are INT8, else float32.
            bias: float32 [outputs].
            scale: float32 [outputs].
            dilation: height and width.
            relu: whether the activation is ReLU.
            residual: rows of ``outputs`` channels.
            residual_factor: its factor.
            element_type: of the result.
        """
        integer = ElementType(self._records[inputs[0]].type).is_integer
        outputs, _, *kernel = weight.shape
        channels = sum(self._records[i].channels for i in inputs)
        if weight.shape[1] != channels:
            raise ValueError(f"weights for {weight.shape[1]} channels, expected {channels}")
        for parameter in (scale, bias):
            if parameter is not None and parameter.shape != (outputs,):
                raise ValueError(f"shape {parameter.shape}, expected ({outputs},)")
        return self._add(
            Kind.CONV, inputs, region=region, residual=-1 if residual is None else residual,
            type=element_type, channels=outputs, kernel=(ctypes.c_int32 * 2)(*kernel),
            dilation=(ctypes.c_int32 * 2)(*dilation), relu=relu, factor=residual_factor,
            weight=self._keep(weight, np.int8 if integer else np.float32),
            scale=self._keep(scale, np.float32), bias=self._keep(bias, np.float32),
        )  # fmt: skip

    def restrict(self, region: Value, x: Value) -> Value:
        """Rows for a smaller region, for children of its pixels, or out of a dense map.

        Args:
            region: where.
            x: rows or a map.
        """
        return self._add(Kind.RESTRICT, [x], region=region, **self._like(x))

    def max_pool(self, region: Value, x: Value, kernel: Size, dilation: Size = (1, 1)) -> Value:
        """The maximum over a window; a missing neighbour reads 0.

        Args:
            region: where.
            x: rows or a map.
            kernel: height and width.
            dilation: height and width.
        """
        return self._add(
            Kind.MAX_POOL, [x], region=region, kernel=(ctypes.c_int32 * 2)(*kernel),
            dilation=(ctypes.c_int32 * 2)(*dilation), **self._like(x),
        )  # fmt: skip

    def scatter(
        self, x: Value, name: str, *, layout: Layout = Layout.NHWC, factor: float = 1.0
    ) -> Value:
        """Write rows into a dense map of the caller's, float32.

        Args:
            x: the rows.
            name: of the array.
            layout: of the array.
            factor: of the values.
        """
        h, w = self._size(x)
        channels = self._records[x].channels
        shape = (h, w, channels) if layout is Layout.NHWC else (channels, h, w)
        binding = self._bind(name, shape, np.float32)
        return self._add(Kind.SCATTER, [x], binding=binding, layout=layout, factor=factor)

    def export(self, x: Value, name: str, *, factor: float = 1.0) -> Value:
        """Write rows to the caller's array, float32 [N * h * w, channels], of which R are written.

        Args:
            x: the rows.
            name: of the array.
            factor: of the values.
        """
        h, w = self._size(x)
        shape = (self.batch * h * w, self._records[x].channels)
        binding = self._bind(name, shape, np.float32, batched=False)
        return self._add(Kind.EXPORT, [x], binding=binding, factor=factor)

    def build(self) -> Program:
        """The program.

        Raises:
            LcTrtError: operators do not fit together; names the first.
        """
        return Program(self.library, self._records, self._bindings, self.batch)

    def _add(self, kind: Kind, inputs: Sequence[Value] = (), **fields: Any) -> Value:
        if len(inputs) > MAX_INPUTS:
            raise ValueError(f"{len(inputs)} inputs, expected at most {MAX_INPUTS}")
        record = OperatorRecord(kind=kind, inputs=len(inputs), region=-1, residual=-1, factor=1.0)
        record.kernel[:] = record.dilation[:] = (1, 1)
        for i, value in enumerate(inputs):
            record.input[i] = value
        for name, field in fields.items():
            setattr(record, name, field)
        self._records.append(record)
        return Value(len(self._records) - 1)

    def _region(
        self, kind: Kind, name: str, dtype: type[np.generic], size: Size, within: Value | None,
        threshold: int,
    ) -> Value:  # fmt: skip
        return self._add(
            kind, [] if within is None else [within], binding=self._bind(name, size, dtype),
            height=size[0], width=size[1], threshold=threshold,
        )  # fmt: skip

    def _bind(
        self, name: str, shape: tuple[int, ...], dtype: type[np.generic], *, batched: bool = True
    ) -> int:
        binding = Binding((self.batch, *shape) if batched else shape, dtype)
        if self._bindings.setdefault(name, binding) != binding:
            raise ValueError(f"array {name!r} is {self._bindings[name]} and {binding}")
        return list(self._bindings).index(name)

    def _keep(self, array: Array | None, dtype: type[np.generic]) -> int | None:
        if array is None:
            return None
        self._arrays.append(checked(array, dtype))
        return array.ctypes.data

    def _like(self, x: Value) -> dict[str, Any]:
        return {"type": self._records[x].type, "channels": self._records[x].channels}

    def _size(self, x: Value) -> Size:
        region = self._records[self._records[x].region]
        return region.height, region.width


class Program:
    """A region program; `ProgramBuilder.build` makes it.

    Runs of one program are serialised.

    Args:
        library: the library.
        records: operators, whose arrays still exist.
        bindings: arrays by name, in the order of their numbers.
        batch: number of images.

    Raises:
        LcTrtError: operators do not fit together; names the first.
    """

    def __init__(
        self,
        library: NativeLibrary,
        records: Sequence[OperatorRecord],
        bindings: Mapping[str, Binding],
        batch: int,
    ) -> None:
        self.library, self.operators = library, len(records)
        self.bindings = dict(bindings)
        operators = (OperatorRecord * len(records))(*records)
        self._handle: int | None = library.call("program_create", operators, len(records), batch)

    def run(
        self,
        pool: Pool,
        arrays: Mapping[str, Array],
        thresholds: Sequence[float] = (),
        *,
        first: int = 0,
        end: int | None = None,
    ) -> None:
        """Run operators ``first`` to ``end`` - 1.

        A frame begins with 0 and goes on where the run before ended, so that a caller can compute
        something between. Dense maps must stay where they are until the last operator that reads
        them has run.

        Args:
            pool: to run on.
            arrays: by name, those of the operators run.
            thresholds: of `ProgramBuilder.select`.
            first: the first operator.
            end: one past the last; None for all.

        Raises:
            LcTrtError: an array or a threshold is missing, or this part is not next.
            ValueError: an array has another name, type or shape.
        """
        if unknown := sorted(set(arrays) - set(self.bindings)):
            raise ValueError(f"array {unknown[0]!r}, expected {', '.join(self.bindings)}")
        pointers: list[int | None] = []
        for name, binding in self.bindings.items():
            array = arrays.get(name)
            if array is not None and checked(array, binding.dtype).shape != binding.shape:
                raise ValueError(f"{name!r} of shape {array.shape}, expected {binding.shape}")
            pointers.append(None if array is None else array.ctypes.data)
        self.library.call(
            "program_run", self._handle, pool.handle, first,
            self.operators if end is None else end, (ctypes.c_void_p * len(pointers))(*pointers),
            len(pointers), (ctypes.c_float * len(thresholds))(*thresholds), len(thresholds),
        )  # fmt: skip

    def rows(self, value: Value) -> int:
        """Number of rows of a region, or of the region of rows, in the last run.

        Args:
            value: of the builder.

        Raises:
            LcTrtError: it has none.
        """
        return int(self.library.call("program_rows", self._handle, value))

    @property
    def arena_bytes(self) -> int:
        """Addresses that are reserved for temporaries; memory is used up to the largest regions."""
        return int(self.library.call("program_arena_bytes", self._handle))

    def __del__(self) -> None:
        if getattr(self, "_handle", None) is not None:
            self.library.call("program_destroy", self._handle)
            self._handle = None
